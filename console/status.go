package console

import (
	"time"

	"github.com/cairn-store/cairn"
)

// Verdict is the state of the whole in a word.
type Verdict string

const (
	// OK: nothing is known to be short.
	OK Verdict = "ok"
	// Degraded: everything is served, but something is short.
	Degraded Verdict = "degraded"
	// Unavailable: reads or writes are refused.
	Unavailable Verdict = "unavailable"
)

// Status is what a process says of itself. Its JSON form is stable: fields are
// added, never renamed.
type Status struct {
	Role     string    `json:"role"` // "gateway" or "node"
	Version  string    `json:"version"`
	Started  time.Time `json:"started"`
	Verdict  Verdict   `json:"verdict"`
	Problems []string  `json:"problems"` // what is short, for people
	Gateway  *Gateway  `json:"gateway,omitempty"`
	Node     *Node     `json:"node,omitempty"`
}

// Gateway is the gateway's part of a status.
type Gateway struct {
	Endpoint   string  `json:"endpoint"`
	Region     string  `json:"region"`
	Losses     int     `json:"losses"` // nodes that may vanish at once
	Scheme     string  `json:"scheme"` // of new segments, "4+2"; "" when none is possible
	ReadReady  bool    `json:"read_ready"`
	WriteReady bool    `json:"write_ready"`
	Network    Network `json:"network"`
	Content    Content `json:"content"`
}

// Network counts nodes as the gateway sees them.
type Network struct {
	Known         int   `json:"known"`
	Live          int   `json:"live"`
	Domains       int   `json:"domains"` // failure domains that take new shards
	CapacityBytes int64 `json:"capacity_bytes"`
	FreeBytes     int64 `json:"free_bytes"`
}

// Content counts what the catalog holds.
type Content struct {
	Buckets  int64 `json:"buckets"`
	Versions int64 `json:"versions"`
	Segments int64 `json:"segments"`
	Uploads  int64 `json:"uploads"`
	Garbage  int64 `json:"garbage"` // shards and records waiting to be deleted
	Bytes    int64 `json:"bytes"`   // of versions
}

// Node is a storage node as it sees itself.
type Node struct {
	ID            cairn.NodeID `json:"id"`
	Addresses     []string     `json:"addresses"`
	FailureDomain string       `json:"failure_domain"`
	Operator      string       `json:"operator,omitempty"`
	Region        string       `json:"region,omitempty"`
	CapacityBytes int64        `json:"capacity_bytes"`
	UsedBytes     int64        `json:"used_bytes"`
	FreeBytes     int64        `json:"free_bytes"`
	Shards        int64        `json:"shards"`
	Uploads       int          `json:"uploads"`
	Writable      bool         `json:"writable"`
	Reason        string       `json:"reason,omitempty"` // why not writable
	Peers         int          `json:"peers"`            // nodes it knows to live
}

// Peer is a node as somebody else sees it.
type Peer struct {
	ID            cairn.NodeID `json:"id"`
	State         string       `json:"state"`
	Reason        string       `json:"reason,omitempty"`
	FailureDomain string       `json:"failure_domain"`
	Operator      string       `json:"operator,omitempty"`
	Region        string       `json:"region,omitempty"`
	CapacityBytes int64        `json:"capacity_bytes"`
	FreeBytes     int64        `json:"free_bytes"`
	RTTMillis     float64      `json:"rtt_ms"` // 0 when not measured
}

// Judge sets Verdict from Problems and readiness. Requires Gateway or Node.
func (s *Status) Judge() {
	s.Verdict = OK
	if s.Problems == nil {
		s.Problems = []string{}
	}
	if len(s.Problems) > 0 {
		s.Verdict = Degraded
	}
	if (s.Gateway != nil && !(s.Gateway.ReadReady && s.Gateway.WriteReady)) || (s.Node != nil && !s.Node.Writable) {
		s.Verdict = Unavailable
	}
}
