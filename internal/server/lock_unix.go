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

// unlockFile gives the lock up at once. Closing the file would do so only when
// a process that is being started at this moment, for git, has closed it too.
func unlockFile(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_UN) }
