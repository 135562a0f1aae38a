package gitexec

import (
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// processAttributes give a command a process group of its own, so that it can
// be killed with all that it started, and let it die with this process.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// holdThread keeps the thread that starts a command until release: the kernel
// takes the end of the thread for that of the parent.
func holdThread() (release func()) {
	runtime.LockOSThread()
	return runtime.UnlockOSThread
}

// limitMemory bounds what a process may allocate. Files that it maps to read
// them do not count. A process that has ended needs no bound.
func limitMemory(pid int, bytes int64) {
	limit := unix.Rlimit{Cur: uint64(bytes), Max: uint64(bytes)}
	_ = unix.Prlimit(pid, unix.RLIMIT_DATA, &limit, nil)
}
