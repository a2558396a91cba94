package gateway

import "sync"

// lockTable is a set of mutexes by name. The zero value is ready.
type lockTable struct {
	mu    sync.Mutex // guards locks
	locks map[string]*namedLock
}

type namedLock struct {
	rw   sync.RWMutex
	uses int // holders and waiters; guarded by the table's mutex
}

func (t *lockTable) acquire(name string) *namedLock {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.locks == nil {
		t.locks = map[string]*namedLock{}
	}
	l := t.locks[name]
	if l == nil {
		l = &namedLock{}
		t.locks[name] = l
	}
	l.uses++
	return l
}

func (t *lockTable) release(name string, l *namedLock) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if l.uses--; l.uses == 0 {
		delete(t.locks, name)
	}
}

// lock locks name and returns what unlocks it.
func (t *lockTable) lock(name string) func() {
	l := t.acquire(name)
	l.rw.Lock()
	return func() {
		l.rw.Unlock()
		t.release(name, l)
	}
}

// rwLockTable is a lockTable whose locks can be shared.
type rwLockTable struct{ lockTable }

func (t *rwLockTable) rlock(name string) func() {
	l := t.acquire(name)
	l.rw.RLock()
	return func() {
		l.rw.RUnlock()
		t.release(name, l)
	}
}

// lockKey locks a key for a write: its bucket is kept from being deleted, and
// version ids made under the lock are committed in their order.
func (e *Engine) lockKey(bucket, key string) func() {
	unlockBucket := e.buckets.rlock(bucket)
	unlockKey := e.keyLocks.lock(bucket + "\x00" + key)
	return func() {
		unlockKey()
		unlockBucket()
	}
}

// lockUpload locks an upload for a change of its parts: its bucket, whose
// deletion ends it, is kept from being deleted.
func (e *Engine) lockUpload(ref UploadRef) func() {
	unlockBucket := e.buckets.rlock(ref.Bucket)
	unlock := e.keyLocks.lock(uploadLock(ref.UploadID))
	return func() {
		unlock()
		unlockBucket()
	}
}

// uploadLock is the name of an upload's lock, which no key's lock has: those
// begin with a bucket's name.
func uploadLock(id string) string { return "\x00" + id }
