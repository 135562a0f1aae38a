package pack

import (
	"crypto/sha1"
	"crypto/sha256"
	"hash"

	"github.com/cairn-storage/cairn/internal/git"
)

// newChecksum returns the hash of a pack's or an index's trailer. It guards
// against accidents only, so collision detection would be lost on it.
func newChecksum(f git.ObjectFormat) hash.Hash {
	if f == git.SHA256 {
		return sha256.New()
	}
	return sha1.New()
}
