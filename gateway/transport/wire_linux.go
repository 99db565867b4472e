package transport

import "syscall"

// tryWrite writes what the kernel has room for and returns how much that was.
func tryWrite(fd uintptr, frame []byte) int {
	for {
		n, err := syscall.Write(int(fd), frame)
		if err == syscall.EINTR {
			continue
		}
		return max(n, 0)
	}
}

// holdLittle keeps the kernel from taking more for a client that does not read: what it has taken can no longer be replaced by news.
func holdLittle(c syscall.RawConn) {
	const notSentLowat = 0x19 // TCP_NOTSENT_LOWAT, which package syscall does not name
	c.Control(func(fd uintptr) { syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, notSentLowat, unsent) })
}
