package git_test

import (
	"bytes"
	"crypto/sha1"
	"errors"
	"slices"
	"testing"

	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/gittest/hostile"
)

// A collision of whole objects would have to be made for Git's header, at a
// great expense; the attack that is known is detected where it starts, with the
// hash's first block. So the Hasher here hashes without a header.
func TestSHA1CollisionIsRefused(t *testing.T) {
	t.Parallel()
	var sums [][20]byte
	first, second := hostile.Shattered()
	for _, data := range [][]byte{first, second} {
		sums = append(sums, sha1.Sum(data))
		h := git.NewHasher(git.SHA1)
		for chunk := range slices.Chunk(data, 33) {
			h.Write(chunk)
		}
		if id, err := h.Sum(); !errors.Is(err, git.ErrCollision) {
			t.Errorf("got %s, %v, want %v", id, err, git.ErrCollision)
		}
		h.Reset(git.BlobObject, int64(len(data)))
		h.Write(data)
		if _, err := h.Sum(); err != nil {
			t.Errorf("as a blob, whose header undoes the attack: got %v, want no error", err)
		}
	}
	if sums[0] != sums[1] || bytes.Equal(first, second) {
		t.Errorf("got sums %x, want the same twice", sums)
	}
}
