package gateway

// BlocksHeld returns the blocks of memory that transfers hold now.
func (e *Engine) BlocksHeld() int64 {
	return e.buffers.held.Load() + e.readBuffers.held.Load() + e.coded.held.Load()
}

// LocksHeld returns the number of names that are locked or waited for.
func (e *Engine) LocksHeld() (n int) {
	for _, t := range []*lockTable{&e.keyLocks, &e.buckets.lockTable} {
		t.mu.Lock()
		n += len(t.locks)
		t.mu.Unlock()
	}
	return n
}

// Pinned returns the number of segments that somebody reads.
func (e *Engine) Pinned() int {
	e.pins.mu.Lock()
	defer e.pins.mu.Unlock()
	return len(e.pins.count)
}
