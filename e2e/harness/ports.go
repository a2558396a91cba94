package harness

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
)

// Ports are taken below those the kernel gives to outgoing connections, so
// that a process that is restarted finds its own free again.
const (
	firstPort = 12000
	lastPort  = 31000
)

var taken struct {
	mu    sync.Mutex
	ports map[int]bool
}

// FreePorts returns the first of n consecutive ports of 127.0.0.1 that nobody
// listens at. No two calls of a test process return the same.
func FreePorts(t testing.TB, n int) int {
	t.Helper()
	taken.mu.Lock()
	defer taken.mu.Unlock()
	if taken.ports == nil {
		taken.ports = map[int]bool{}
	}
	for range 1000 {
		first := firstPort + rand.IntN(lastPort-firstPort)
		free := true
		for p := first; p < first+n; p++ {
			free = free && !taken.ports[p] && canListen(p)
		}
		if !free {
			continue
		}
		for p := first; p < first+n; p++ {
			taken.ports[p] = true
		}
		return first
	}
	t.Fatalf("no %d free ports between %d and %d", n, firstPort, lastPort)
	return 0
}

// FreeAddr returns a free address of 127.0.0.1.
func FreeAddr(t testing.TB) string {
	t.Helper()
	return loopback(FreePorts(t, 1))
}

func loopback(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

func canListen(port int) bool {
	l, err := net.Listen("tcp", loopback(port))
	if err != nil {
		return false
	}
	if l.Close() != nil {
		return false
	}
	u, err := net.ListenPacket("udp", loopback(port))
	if err != nil {
		return false
	}
	return u.Close() == nil
}
