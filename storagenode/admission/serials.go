package admission

import (
	"sync"
	"time"

	"github.com/cairn-store/cairn"
)

// Bounds of a Serials; an authorisation that outlives MaxValidity is refused,
// or remembering it would cost memory for as long as its signer likes.
const (
	MaxSerials  = 1 << 17
	MaxValidity = 24 * time.Hour
)

// Serials remembers which delete authorisations were used, for as long as they
// are valid, so that none works twice: a shard stored anew must not fall to a
// recorded request. The zero value is ready.
type Serials struct {
	mu    sync.Mutex // guards the fields below
	used  map[serial]int64
	swept int64 // Unix seconds of the last sweep
}

type serial struct {
	owner [32]byte
	n     uint64
}

// Use takes the serial of a verified authorisation. A replay is Denied; when
// too many are remembered the answer is Unavailable.
func (s *Serials) Use(auth cairn.Authorization, now time.Time) error {
	const op = "check authorization"
	unix := now.Unix()
	if auth.Expires-unix > int64(MaxValidity/time.Second) {
		return cairn.Errorf(op, cairn.Denied, "valid for more than %v", MaxValidity)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.used == nil {
		s.used = map[serial]int64{}
	}
	k := serial{auth.OwnerKey, auth.Serial}
	if expires, ok := s.used[k]; ok && expires >= unix {
		return cairn.Errorf(op, cairn.Denied, "serial %d was used before", auth.Serial)
	}
	if len(s.used) >= MaxSerials && s.swept < unix {
		s.swept = unix
		for k, expires := range s.used {
			if expires < unix {
				delete(s.used, k)
			}
		}
	}
	if len(s.used) >= MaxSerials {
		return cairn.Errorf(op, cairn.Unavailable, "%d deletes are still valid", len(s.used))
	}
	s.used[k] = auth.Expires
	return nil
}

// Forget gives a serial back after a request that changed nothing.
func (s *Serials) Forget(auth cairn.Authorization) {
	s.mu.Lock()
	delete(s.used, serial{auth.OwnerKey, auth.Serial})
	s.mu.Unlock()
}
