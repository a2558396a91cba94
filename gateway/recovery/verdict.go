package recovery

import (
	"fmt"
	"strings"
	"time"

	"github.com/cairn-store/cairn"
)

// counts are what a recovery found.
type counts struct {
	objects, bytes                             int64
	buckets, bucketsMade                       int64
	segments                                   int64
	degraded, unreadable                       int64
	deleted, superseded, unfinished, undecided int64
	orphans, orphansLeft                       int64
}

// Verdict says what came back. It prints as one sentence, and as JSON.
type Verdict struct {
	Objects    int64       `json:"objects"`    // brought back, in whatever state
	Bytes      cairn.Bytes `json:"bytes"`      // of objects
	Buckets    int64       `json:"buckets"`    // brought back
	Degraded   int64       `json:"degraded"`   // objects that lack shards and can be read
	Unreadable int64       `json:"unreadable"` // objects that cannot be read with the nodes that answered
	Deleted    int64       `json:"deleted"`    // versions that tombstones say are deleted
	Superseded int64       `json:"superseded"` // versions that a newer one replaced
	// Unfinished counts versions passed over because too few shards of them
	// were ever stored: writes that nobody was told had succeeded.
	Unfinished int64 `json:"unfinished"`
	// Undecided counts versions neither shown nor deleted, because a newer
	// one could still come back with a missing node.
	Undecided   int64 `json:"undecided"`
	Segments    int64 `json:"segments"`
	Orphans     int64 `json:"orphans"`      // segments of no version, to be deleted
	OrphansLeft int64 `json:"orphans_left"` // the same, left because their version may be on a missing node
	Corrupt     int64 `json:"corrupt"`      // shards that are not what was stored
	Lost        int64 `json:"lost"`         // segments and records of which nothing verifies
	// BucketsMade counts buckets made anew because only their objects were found.
	BucketsMade int64 `json:"buckets_made"`

	Nodes      int           `json:"nodes"`
	Unanswered []NodeFailure `json:"unanswered,omitempty"`
	// DeletionsMayBeHidden says that so many nodes are missing that a
	// tombstone or a bucket's record may be on none of the others.
	DeletionsMayBeHidden bool `json:"deletions_may_be_hidden,omitempty"`

	// Newest is the newest version id seen; the gateway's clock must be ahead
	// of it. Epoch is the highest key epoch in use, zero when none was seen.
	Newest  cairn.VersionID `json:"newest"`
	Epoch   cairn.KeyEpoch  `json:"epoch"`
	Started time.Time       `json:"started"`
	Ended   time.Time       `json:"ended"`
}

// NodeFailure is a node that was given up, and why.
type NodeFailure struct {
	Node   cairn.NodeID `json:"node"`
	Reason string       `json:"reason"`
}

func (r *run) verdict(d *decision) Verdict {
	c := d.counts
	v := Verdict{
		Objects: c.objects, Bytes: cairn.Bytes(c.bytes), Buckets: c.buckets, BucketsMade: c.bucketsMade,
		Degraded: c.degraded, Unreadable: c.unreadable,
		Deleted: c.deleted, Superseded: c.superseded, Unfinished: c.unfinished, Undecided: c.undecided,
		Segments: c.segments, Orphans: c.orphans, OrphansLeft: c.orphansLeft,
		Corrupt: r.state.Corrupt, Lost: r.state.Lost,
		Nodes: len(r.state.Nodes), DeletionsMayBeHidden: !r.state.certain(),
		Newest: d.newest, Epoch: d.epoch, Started: r.state.Started, Ended: time.Now().UTC(),
	}
	for _, n := range r.state.Nodes {
		if n.Failed != "" {
			v.Unanswered = append(v.Unanswered, NodeFailure{n.ID, n.Failed})
		}
	}
	return v
}

// String returns the verdict as a sentence, such as
// "12,480 objects, 31 versions deleted, 3 degraded, 0 unreadable".
func (v Verdict) String() string {
	parts := []string{
		plural(v.Objects, "object"),
		plural(v.Deleted, "version") + " deleted",
		thousands(v.Degraded) + " degraded",
		thousands(v.Unreadable) + " unreadable",
	}
	if v.Undecided > 0 {
		parts = append(parts, thousands(v.Undecided)+" undecided")
	}
	if n := len(v.Unanswered); n > 0 {
		parts = append(parts, fmt.Sprintf("%d of %d nodes did not answer", n, v.Nodes))
	}
	return strings.Join(parts, ", ")
}

func plural(n int64, word string) string {
	if n != 1 {
		word += "s"
	}
	return thousands(n) + " " + word
}

func thousands(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
