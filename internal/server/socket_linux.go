package server

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// maxUnsent is how much of an answer the kernel takes before it can be sent.
// Its buffers grow to megabytes otherwise, for each client that reads slowly,
// and nothing would be seen to move until a third of that is gone.
const maxUnsent = 128 << 10

// boundUnsent sets maxUnsent for the connections of a listener.
func boundUnsent(_, _ string, c syscall.RawConn) error {
	var failed error
	err := c.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, maxUnsent)
	})
	if err != nil {
		return err
	}
	return failed
}
