package storagenode

import (
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/storagenode/shardstore"
)

// Values of the label "operation".
const (
	opInfo      = "info"
	opPut       = "put"
	opCommit    = "commit"
	opPutRecord = "put_record"
	opRead      = "read"
	opTails     = "tails"
	opList      = "list"
	opDelete    = "delete"
)

type metrics struct {
	requests *prometheus.CounterVec   // by operation and kind of answer
	seconds  *prometheus.HistogramVec // by operation
	bytes    *prometheus.CounterVec   // by operation
	corrupt  prometheus.Counter

	reg prometheus.Registerer
	all []prometheus.Collector
}

func newMetrics(reg prometheus.Registerer, store *shardstore.Store) (*metrics, error) {
	m := &metrics{
		reg: reg,
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "storagenode_requests_total", Help: "Requests answered, by operation and kind of answer (ok or an error kind).",
		}, []string{"operation", "kind"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "storagenode_request_duration_seconds", Help: "Time to answer a request, by operation.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 4, 9),
		}, []string{"operation"}),
		bytes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "storagenode_payload_bytes_total", Help: "Bytes received or served, by operation.",
		}, []string{"operation"}),
		corrupt: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "storagenode_corrupt_records_total", Help: "Records found damaged when they were asked for.",
		}),
	}
	gauge := func(name, help string, value func(shardstore.Stats) int64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 {
			st, err := store.Stats()
			if err != nil {
				return -1
			}
			return float64(value(st))
		})
	}
	m.all = []prometheus.Collector{
		m.requests, m.seconds, m.bytes, m.corrupt,
		gauge("storagenode_shards", "Shard records kept.", func(s shardstore.Stats) int64 { return s.Shards }),
		gauge("storagenode_used_bytes", "Bytes of shard records kept.", func(s shardstore.Stats) int64 { return s.UsedBytes }),
		gauge("storagenode_held_bytes", "Bytes kept, dead or reserved in the shard logs.", func(s shardstore.Stats) int64 { return s.HeldBytes }),
		gauge("storagenode_free_bytes", "Bytes that may still be stored.", func(s shardstore.Stats) int64 { return s.FreeBytes }),
		gauge("storagenode_open_uploads", "Uploads open.", func(s shardstore.Stats) int64 { return int64(s.Uploads) }),
	}
	if reg == nil {
		return m, nil
	}
	for i, c := range m.all {
		if err := reg.Register(c); err != nil {
			for _, c := range m.all[:i] {
				reg.Unregister(c)
			}
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	return m, nil
}

// unregister lets a node of the same process register again.
func (m *metrics) unregister() {
	if m.reg == nil {
		return
	}
	for _, c := range m.all {
		m.reg.Unregister(c)
	}
}

// time starts the clock of a request; the function it returns counts the
// answer.
func (m *metrics) time(op string) func(*error) {
	start := time.Now()
	return func(err *error) {
		m.seconds.WithLabelValues(op).Observe(time.Since(start).Seconds())
		kind := "ok"
		if *err != nil {
			kind = cairn.KindOf(*err).String()
			if op == opRead && errors.Is(*err, cairn.Corrupt) {
				m.corrupt.Inc()
			}
		}
		m.requests.WithLabelValues(op, kind).Inc()
	}
}
