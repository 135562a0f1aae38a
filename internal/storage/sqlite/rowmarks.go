package sqlite

import (
	"hash/maphash"
	"sync/atomic"

	"github.com/cairn-storage/cairn/internal/cairn"
)

// rowMarks are the marks of repositories' rows. Many repositories share one: a
// mark that grows for another repository only costs a View. No other process
// may write to the database meanwhile, which the server's lock on its data
// directory sees to.
type rowMarks [4096]atomic.Uint64

var markSeed = maphash.MakeSeed()

func (m *rowMarks) of(key cairn.RepositoryKey) *atomic.Uint64 {
	return &m[maphash.Comparable(markSeed, key)%uint64(len(m))]
}

func (m *rowMarks) grow(key cairn.RepositoryKey) { m.of(key).Add(1) }

// RowMark implements cairn.RowMarks. A mark grows when the Update's commit is
// visible and before anybody is told of it.
func (m *Metadata) RowMark(key cairn.RepositoryKey) uint64 { return m.writer.marks.of(key).Load() }

var _ cairn.RowMarks = (*Metadata)(nil)
