//go:build unix

package server

import (
	"os"

	"golang.org/x/sys/unix"
)

// errLocked says that another process has the lock.
var errLocked error = unix.EWOULDBLOCK

func lockFile(f *os.File) error {
	return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
}
