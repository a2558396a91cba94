package recovery

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway/seal"
	"github.com/cairn-store/cairn/internal/durable"
)

const (
	stateName    = "recovery.state"
	spoolName    = "recovery.spool"
	stateFormat  = 1
	maxStateSize = 16 << 20
)

// state is what survives a kill.
type state struct {
	Format  int         `json:"format"`
	Owner   string      `json:"owner"` // fingerprint
	Phase   Phase       `json:"phase"`
	Started time.Time   `json:"started"`
	Nodes   []nodeState `json:"nodes"`
	// Cursor is the last segment in the spool; everything up to it was seen.
	Cursor string `json:"cursor"`
	Spool  int64  `json:"spool"` // bytes of it that count

	Records int64 `json:"records"`
	Bytes   int64 `json:"bytes"`
	// Corrupt counts shards listed by a node that are not what was stored.
	Corrupt int64 `json:"corrupt"`
	// Lost counts segments and records of which no verified tail was found.
	Lost int64 `json:"lost"`
	// MinCopies is the fewest copies any record was written to; 0: none seen.
	MinCopies int `json:"min_copies"`

	Verdict *Verdict `json:"verdict,omitempty"`
}

type nodeState struct {
	ID     cairn.NodeID `json:"id"`
	Failed string       `json:"failed,omitempty"` // why it was given up
}

func fingerprint(k *seal.Keys) string {
	owner := k.Owner()
	sum := sha256.Sum256(append([]byte("cairn/1 recovery state\x00"), owner[:]...))
	return hex.EncodeToString(sum[:8])
}

func newState(k *seal.Keys, nodes []Node) *state {
	s := &state{Format: stateFormat, Owner: fingerprint(k), Phase: PhaseWalk, Started: time.Now().UTC()}
	for _, n := range nodes {
		if known, _ := s.node(n.ID()); !known {
			s.Nodes = append(s.Nodes, nodeState{ID: n.ID()})
		}
	}
	return s
}

// node reports whether the state knows a node, and whether it was given up.
func (s *state) node(id cairn.NodeID) (known, failed bool) {
	for _, n := range s.Nodes {
		if n.ID == id {
			return true, n.Failed != ""
		}
	}
	return false, false
}

// cursor returns the last segment in the spool, zero for none.
func (s *state) cursor() (cairn.SegmentID, error) {
	if s.Cursor == "" {
		return cairn.SegmentID{}, nil
	}
	return cairn.ParseSegmentID(s.Cursor)
}

// unanswered counts the nodes that were given up.
func (s *state) unanswered() (n int) {
	for _, node := range s.Nodes {
		if node.Failed != "" {
			n++
		}
	}
	return n
}

// certain reports whether at least one copy of every record was seen: fewer
// nodes are missing than any record has copies.
func (s *state) certain() bool { return s.unanswered() == 0 || s.unanswered() < s.MinCopies }

// loadState returns the state in dir, or nil when there is none.
func loadState(dir string, k *seal.Keys) (*state, error) {
	const op = "load recovery state"
	text, err := durable.ReadFile(durable.OS{}, filepath.Join(dir, stateName), maxStateSize)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("load recovery state: %w", err)
	}
	s := &state{}
	if err := json.Unmarshal(text, s); err != nil {
		return nil, cairn.NewError(op, cairn.Corrupt, err).WithHint("recover into an empty directory")
	}
	switch {
	case s.Format != stateFormat:
		return nil, cairn.Errorf(op, cairn.Invalid, "format %d is not known to this version", s.Format)
	case s.Owner != fingerprint(k):
		return nil, cairn.Errorf(op, cairn.Invalid, "the directory holds the recovery of another owner").
			WithHint("check the recovery phrase, or recover into an empty directory")
	case s.Phase == PhaseDone && s.Verdict == nil:
		return nil, cairn.Errorf(op, cairn.Corrupt, "a finished recovery without a verdict")
	}
	return s, nil
}

func (s *state) save(dir string) error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err == nil {
		err = durable.WriteFileAtomic(durable.OS{}, filepath.Join(dir, stateName), text)
	}
	if err != nil {
		return fmt.Errorf("save recovery state: %w", err)
	}
	return nil
}
