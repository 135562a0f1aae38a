package server

import (
	"os"

	"golang.org/x/sys/windows"
)

// errLocked says that another process has the lock.
var errLocked error = windows.ERROR_LOCK_VIOLATION

func lockFile(f *os.File) error {
	const farAway = 1 << 30 // so that the holder's number can be read
	return windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY,
		0, 1, 0, &windows.Overlapped{OffsetHigh: farAway})
}
