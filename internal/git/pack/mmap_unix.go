//go:build unix

package pack

import (
	"os"
	"syscall"
)

// mapFile maps the first size bytes of f. They may lie beyond its end; those
// must not be touched.
func mapFile(f *os.File, size int, write bool) ([]byte, error) {
	prot := syscall.PROT_READ
	if write {
		prot |= syscall.PROT_WRITE
	}
	b, err := syscall.Mmap(int(f.Fd()), 0, size, prot, syscall.MAP_SHARED)
	if err != nil {
		return nil, os.NewSyscallError("mmap", err)
	}
	return b, nil
}

func unmap(b []byte) error { return os.NewSyscallError("munmap", syscall.Munmap(b)) }
