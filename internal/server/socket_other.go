//go:build !linux

package server

import "syscall"

// boundUnsent does nothing where the kernel's buffers cannot be bounded.
func boundUnsent(_, _ string, _ syscall.RawConn) error { return nil }
