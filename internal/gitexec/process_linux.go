package gitexec

import (
	"runtime"
	"syscall"
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
