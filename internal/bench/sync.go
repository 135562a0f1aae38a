//go:build linux

package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// syncData waits until the file's content is on the disk.
func syncData(f *os.File) error { return unix.Fdatasync(int(f.Fd())) }
