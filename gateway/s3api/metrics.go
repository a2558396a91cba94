package s3api

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics counts the work. Operations come from the route table and statuses
// from the error table, so both sets are small and closed.
type metrics struct {
	requests *prometheus.CounterVec   // by operation and status
	seconds  *prometheus.HistogramVec // by operation
	received *prometheus.CounterVec   // by operation
	sent     *prometheus.CounterVec   // by operation
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "s3api_requests_total",
			Help: "Requests answered, by S3 operation and HTTP status."}, []string{"operation", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "s3api_request_seconds",
			Help:    "Time from the header of a request to the end of its answer.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2.5, 14)}, []string{"operation"}),
		received: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "s3api_received_bytes_total",
			Help: "Bytes of request bodies read, framing included."}, []string{"operation"}),
		sent: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "s3api_sent_bytes_total",
			Help: "Bytes of response bodies sent."}, []string{"operation"}),
	}
	if r == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.requests, m.seconds, m.received, m.sent} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	return m, nil
}

func (m *metrics) observe(operation string, w *response, b io.Reader, elapsed time.Duration) {
	status := w.status
	if status == 0 {
		status = http.StatusOK
	}
	m.requests.WithLabelValues(operation, strconv.Itoa(status)).Inc()
	m.seconds.WithLabelValues(operation).Observe(elapsed.Seconds())
	m.sent.WithLabelValues(operation).Add(float64(w.sent))
	if p, ok := b.(*pacedBody); ok {
		m.received.WithLabelValues(operation).Add(float64(p.received))
	}
}
