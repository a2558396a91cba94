//go:build !linux

package durable

// Datasync is a full Sync here, which on Darwin reaches the platter.
func (f osFile) Datasync() error { return f.Sync() }

func (f osFile) Preallocate(off, n int64) error { return nil }

func (f osFile) PunchHole(off, n int64) error { return ErrUnsupported }
