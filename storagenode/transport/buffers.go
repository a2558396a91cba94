package transport

import "sync"

// chunkSize is what an upload takes from the wire before it hands it on.
const chunkSize = 256 << 10

var chunkPool = sync.Pool{New: func() any { b := make([]byte, chunkSize); return &b }}

// replyPools hold buffers for Read replies, by size: a header and a range.
var replyPools = [...]struct {
	size int
	pool sync.Pool
}{{size: 16<<10 + 64}, {size: 256<<10 + 64}, {size: 1<<20 + 64}, {size: 4<<20 + 64}}

// replyBuffer returns n bytes and what to call when they are done with.
// Requires n <= MaxRead plus a message header.
func replyBuffer(n int) (b []byte, done func()) {
	for i := range replyPools {
		p := &replyPools[i]
		if n > p.size {
			continue
		}
		buf, ok := p.pool.Get().(*[]byte)
		if !ok {
			fresh := make([]byte, p.size)
			buf = &fresh
		}
		return (*buf)[:n], func() { p.pool.Put(buf) }
	}
	return make([]byte, n), func() {}
}
