//go:build !linux

package gitexec

import "syscall"

// processAttributes give a command a process group of its own, so that it can
// be killed with all that it started.
func processAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

func holdThread() (release func()) { return func() {} }

func limitMemory(int, int64) {}
