//go:build unix

package transport

import (
	"net"
	"syscall"
)

// quiet looks at the socket without taking anything from it: neither closed by
// the peer nor holding bytes nobody asked for.
func quiet(c net.Conn) bool {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return true
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	var peek error
	err = rc.Read(func(fd uintptr) bool {
		var b [1]byte
		_, _, peek = syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		return true
	})
	return err == nil && (peek == syscall.EAGAIN || peek == syscall.EWOULDBLOCK)
}
