package transport

import (
	"errors"
	"fmt"
	"time"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/storagenode/nodeapi"
	"github.com/prometheus/client_golang/prometheus"
)

// metrics counts what a server does. Several servers may share a registerer,
// as in a process that runs a whole network; they then count together.
type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	bytes    *prometheus.CounterVec
	conns    prometheus.Gauge
	refused  *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "transport_requests_total", Help: "Requests answered, by operation and kind of outcome.",
		}, []string{"operation", "kind"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "transport_request_seconds", Help: "Time from a request's header to the end of its answer.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 4, 10),
		}, []string{"operation"}),
		bytes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "transport_payload_bytes_total", Help: "Payload and record bytes moved, by direction.",
		}, []string{"direction"}),
		conns: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "transport_connections", Help: "Open connections.",
		}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "transport_connections_refused_total", Help: "Connections closed before their first request, by reason.",
		}, []string{"reason"}),
	}
	if r == nil {
		return m, nil
	}
	if err := errors.Join(register(r, &m.requests), register(r, &m.seconds), register(r, &m.bytes),
		register(r, &m.conns), register(r, &m.refused)); err != nil {
		return nil, fmt.Errorf("register transport metrics: %w", err)
	}
	return m, nil
}

// register registers *c, or sets it to what is registered already.
func register[C prometheus.Collector](r prometheus.Registerer, c *C) error {
	err := r.Register(*c)
	if already, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
		if there, ok := already.ExistingCollector.(C); ok {
			*c = there
			return nil
		}
	}
	return err
}

func (m *metrics) answered(t nodeapi.MessageType, err error, elapsed time.Duration) {
	kind := "ok"
	if err != nil {
		kind = cairn.KindOf(err).String()
	}
	if _, ok := errors.AsType[fatal](err); ok {
		kind = "cut" // the connection ended, and nobody heard an answer
	}
	m.requests.WithLabelValues(t.String(), kind).Inc()
	m.seconds.WithLabelValues(t.String()).Observe(elapsed.Seconds())
}
