package diff

import "github.com/cairn-storage/cairn/internal/git"

// Defaults of Options and TreeOptions.
const (
	DefaultContext     = 3
	DefaultMaxFileSize = 32 << 20
	DefaultMaxLines    = 4 << 20
	DefaultRenameScore = 50
	DefaultRenameLimit = 1000
	DefaultMaxChanges  = 1 << 20
	DefaultMaxEntries  = 20 << 20
)

// Options says how texts are compared and patches written. The zero value is
// git's default.
type Options struct {
	// Context is the number of unchanged lines around a change (-U); 0 means
	// DefaultContext, a negative number none.
	Context int

	IgnoreSpaceChange bool // -b
	IgnoreAllSpace    bool // -w
	IgnoreSpaceAtEOL  bool // --ignore-space-at-eol
	IgnoreBlankLines  bool // --ignore-blank-lines; not for Lines

	// NoIndentHeuristic slides changes as git merge-file does: always down.
	NoIndentHeuristic bool

	// Binary writes binary changes as patches that git apply takes, not as
	// "Binary files differ" (--binary). Their bytes are not those of git,
	// which depend on zlib; what they say is the same.
	Binary bool

	// FullIndex writes whole ids (--full-index).
	FullIndex bool

	// Abbrev shortens an id for the index line; nil means its first seven
	// digits. It is asked for the zero id (of the repository's format) too.
	Abbrev func(git.ObjectID) string

	// MaxFileSize is the largest blob in bytes that is read, and MaxLines the
	// most lines that both sides together may have. Files above are reported
	// as TooLarge and written like binary ones. 0 means the default.
	MaxFileSize int64
	MaxLines    int
}

func (o Options) context() int {
	switch {
	case o.Context < 0:
		return 0
	case o.Context == 0:
		return DefaultContext
	}
	return o.Context
}

func (o Options) maxFileSize() int64 { return orDefault(o.MaxFileSize, DefaultMaxFileSize) }
func (o Options) maxLines() int      { return min(orDefault(o.MaxLines, DefaultMaxLines), 1<<30) }

// ignoresSpace tells whether lines that differ in blanks may be equal.
func (o Options) ignoresSpace() bool {
	return o.IgnoreAllSpace || o.IgnoreSpaceChange || o.IgnoreSpaceAtEOL
}

// TreeOptions says which changes Trees reports. The zero value is all of
// them, renames not detected.
type TreeOptions struct {
	// Paths keeps the files that are one of these or lie below one, before
	// renames are looked for. A path that ends in a slash does not mean a file
	// of that name. No paths means all; so does an empty one.
	Paths []string

	Renames     bool // -M
	RenameScore int  // the least similarity of a rename in percent (-M90%); 0 means DefaultRenameScore

	// RenameLimit is diff.renameLimit: beyond its square of candidates, only
	// identical files and those of the same base name are compared. 0 means
	// DefaultRenameLimit, a negative number none.
	RenameLimit int

	// RenameFileSize is the largest blob in bytes that is read to see how
	// similar it is; 0 means DefaultMaxFileSize.
	RenameFileSize int64

	MaxChanges int   // more changes than this are ErrTooLarge; 0 means DefaultMaxChanges
	MaxEntries int64 // more tree entries read than this are ErrTooLarge; 0 means DefaultMaxEntries
}

func orDefault[N int | int64](n, def N) N {
	if n == 0 {
		return def
	}
	return n
}
