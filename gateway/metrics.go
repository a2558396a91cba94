package gateway

import "github.com/prometheus/client_golang/prometheus"

// metrics counts the engine's work.
type metrics struct {
	bytesWritten, bytesRead prometheus.Counter
	deletes                 prometheus.Counter
	hedges                  prometheus.Counter
	badShards               prometheus.Counter
	rebuilt                 prometheus.Counter
	nodeFailures            *prometheus.CounterVec
}

// newMetrics registers with r, which may be nil. unfinished counts the failed
// writes that are still to be ended.
func newMetrics(r prometheus.Registerer, unfinished func() float64) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	m := &metrics{
		bytesWritten: counter("gateway_written_bytes_total", "Bytes of objects and parts stored."),
		bytesRead:    counter("gateway_read_bytes_total", "Bytes of objects sent to clients."),
		deletes:      counter("gateway_deletes_total", "Objects deleted."),
		hedges:       counter("gateway_hedges_total", "Stripes for which other nodes were asked because one was late."),
		badShards:    counter("gateway_bad_shards_total", "Shards found to be corrupt by a read."),
		rebuilt:      counter("gateway_rebuilt_shards_total", "Shards rebuilt onto another node."),
		nodeFailures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gateway_node_failures_total", Help: "Failed calls to nodes, by operation and kind.",
		}, []string{"operation", "kind"}),
	}
	if r != nil {
		r.MustRegister(m.bytesWritten, m.bytesRead, m.deletes, m.hedges, m.badShards, m.rebuilt, m.nodeFailures,
			prometheus.NewGaugeFunc(prometheus.GaugeOpts{
				Name: "gateway_unfinished_writes", Help: "Writes that failed and are still to be undone on the nodes.",
			}, unfinished))
	}
	return m
}

func (m *metrics) wrote(n int64) { m.bytesWritten.Add(float64(n)) }
func (m *metrics) read(n int64)  { m.bytesRead.Add(float64(n)) }
