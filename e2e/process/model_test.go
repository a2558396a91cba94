package process

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
)

// object is what a key must hold.
type object struct {
	id          uint64 // also in the metadata: says whose bytes they are
	size        int64
	bytesOf     uint64 // seed of the body; a copy has its source's
	contentType string
	cache       string // Cache-Control
	meta        map[string]string
	etag        string // as the store said
}

// body returns bytes of the object from off on.
func (o *object) body(off, length int64) []byte {
	var seed [32]byte
	binary.LittleEndian.PutUint64(seed[:], o.bytesOf)
	stream := rand.NewChaCha8(seed)
	b := make([]byte, off+length)
	_, _ = stream.Read(b) // never fails
	return b[off:]
}

// same says how got differs from the object's bytes [off, off+len(got)), nil
// for not at all.
func (o *object) same(got []byte, off int64) error {
	want := o.body(off, int64(len(got)))
	if bytes.Equal(got, want) {
		return nil
	}
	for i := range got {
		if got[i] != want[i] {
			return fmt.Errorf("byte %d of %d is %#x, want %#x", off+int64(i), o.size, got[i], want[i])
		}
	}
	return nil
}

// doubt is a change that was not answered: the key holds what it did or what
// it was to hold, nil meaning nothing.
type doubt struct{ was, wanted *object }

// model is what the store must hold. Writers own disjoint keys.
type model struct {
	mu      sync.Mutex // guards the fields below
	objects map[string]*object
	doubts  map[string]doubt
	deleted map[string]bool // keys that were acknowledged as deleted, and not written since
	nextID  uint64
}

func newModel() *model {
	return &model{objects: map[string]*object{}, doubts: map[string]doubt{}, deleted: map[string]bool{}}
}

// fresh returns a new object of the given size.
func (m *model) fresh(random *rand.Rand, size int64) *object {
	m.mu.Lock()
	m.nextID++
	id := m.nextID
	m.mu.Unlock()
	o := &object{id: id, size: size, bytesOf: id, contentType: "application/octet-stream"}
	if random.IntN(3) == 0 {
		o.contentType = "text/plain; charset=utf-8"
		o.cache = fmt.Sprintf("max-age=%d", random.IntN(10000))
	}
	o.meta = map[string]string{"id": fmt.Sprint(id)}
	for i := range random.IntN(4) {
		o.meta[fmt.Sprintf("field-%d", i)] = fmt.Sprintf("value %d of %d", i, id)
	}
	return o
}

// begin says that key is about to become o, nil meaning deleted.
func (m *model) begin(key string, o *object) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.doubts[key] = doubt{m.objects[key], o}
}

// done says that the change begun was acknowledged.
func (m *model) done(key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.settle(key, m.doubts[key].wanted)
}

// settle requires mu.
func (m *model) settle(key string, o *object) {
	delete(m.doubts, key)
	if o == nil {
		if m.objects[key] != nil {
			m.deleted[key] = true
		}
		delete(m.objects, key)
		return
	}
	delete(m.deleted, key)
	m.objects[key] = o
}

// resolve ends a doubt by what the key was found to hold: the id of an object,
// 0 for nothing. Anything but the two possible states is an error.
func (m *model) resolve(key string, found uint64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	d := m.doubts[key]
	for _, o := range []*object{d.was, d.wanted} {
		if (o == nil && found == 0) || (o != nil && o.id == found) {
			m.settle(key, o)
			return nil
		}
	}
	return fmt.Errorf("%q holds object %d, which is neither what it held nor what was being written", key, found)
}

func (m *model) get(key string) *object {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.objects[key]
}

// keys returns the keys that hold something, in byte order.
func (m *model) keys() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.objects))
}

func (m *model) doubtful() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.doubts))
}

func (m *model) gone() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.deleted))
}

// bytes returns the sum of the sizes.
func (m *model) bytes() (sum int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, o := range m.objects {
		sum += o.size
	}
	return sum
}

// reached returns nil once so many objects were begun.
func (m *model) reached(id uint64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.nextID < id {
		return fmt.Errorf("%d objects were begun, want %d", m.nextID, id)
	}
	return nil
}
