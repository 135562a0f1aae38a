package git

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strconv"
)

// FileMode is the mode of a tree entry.
type FileMode uint32

// The modes that Git writes today. History holds others, 0100664 above all.
const (
	ModeTree       FileMode = 0o040000
	ModeFile       FileMode = 0o100644
	ModeExecutable FileMode = 0o100755
	ModeSymlink    FileMode = 0o120000
	ModeSubmodule  FileMode = 0o160000
)

// ParseFileMode reads a mode as octal text.
func ParseFileMode(s string) (FileMode, error) {
	if s == "" || len(s) > 7 {
		return 0, fmt.Errorf("malformed file mode %q", clip(s))
	}
	var m FileMode
	for i := range len(s) {
		if s[i] < '0' || s[i] > '7' {
			return 0, fmt.Errorf("malformed file mode %q", s)
		}
		m = m<<3 | FileMode(s[i]-'0')
	}
	return m, nil
}

// String returns the mode as six octal digits, as ls-tree prints it.
func (m FileMode) String() string {
	switch m {
	case ModeTree:
		return "040000"
	case ModeFile:
		return "100644"
	case ModeExecutable:
		return "100755"
	}
	return fmt.Sprintf("%06o", uint32(m))
}

// IsTree tells whether the entry is a directory.
func (m FileMode) IsTree() bool { return m&0o170000 == ModeTree }

// IsFile tells whether the entry is a regular file, executable or not.
func (m FileMode) IsFile() bool { return m&0o170000 == 0o100000 }

// IsSymlink tells whether the entry is a symbolic link.
func (m FileMode) IsSymlink() bool { return m&0o170000 == ModeSymlink }

// IsSubmodule tells whether the entry names a commit of another repository,
// which is not an object of this one.
func (m FileMode) IsSubmodule() bool { return m&0o170000 == ModeSubmodule }

// ObjectType is the kind of object that an entry of this mode names.
func (m FileMode) ObjectType() ObjectType {
	switch {
	case m.IsTree():
		return TreeObject
	case m.IsSubmodule():
		return CommitObject
	}
	return BlobObject
}

// TreeEntry is one line of a tree.
type TreeEntry struct {
	Mode FileMode
	Name string
	ID   ObjectID
}

// ErrTree is in the chain of every error about a malformed tree.
var ErrTree = errors.New("malformed tree")

// TreeReader reads a tree's entries one by one without allocating for those
// that its caller does not keep.
type TreeReader struct {
	format  ObjectFormat
	rest    []byte
	current []byte // the current entry and what follows

	Mode FileMode // of the current entry
	Name []byte   // aliases the tree's bytes
	ID   ObjectID
}

// NewTreeReader returns a reader before the first entry of data.
func NewTreeReader(f ObjectFormat, data []byte) TreeReader {
	return TreeReader{format: f, rest: data}
}

// Next moves to the next entry; false at the end of the tree.
func (r *TreeReader) Next() (bool, error) {
	if len(r.rest) == 0 {
		return false, nil
	}
	space := bytes.IndexByte(r.rest, ' ')
	if space < 1 || space > 7 {
		return false, fmt.Errorf("%w: mode", ErrTree)
	}
	var mode FileMode
	for _, c := range r.rest[:space] {
		if c < '0' || c > '7' {
			return false, fmt.Errorf("%w: mode", ErrTree)
		}
		mode = mode<<3 | FileMode(c-'0')
	}
	end := bytes.IndexByte(r.rest[space:], 0)
	if end < 2 {
		return false, fmt.Errorf("%w: name", ErrTree)
	}
	end += space
	if len(r.rest) < end+1+r.format.Size() {
		return false, fmt.Errorf("%w: truncated id", ErrTree)
	}
	r.Mode = mode
	r.Name = r.rest[space+1 : end]
	r.ID = idFrom(r.format, r.rest[end+1:])
	r.current = r.rest
	r.rest = r.rest[end+1+r.format.Size():]
	return true, nil
}

// SkipSame moves over the next entries as far as another tree has the same
// ones, byte for byte, from its current entry on, and moves the other reader
// to the entry after them. It tells whether the other is still on an entry.
func (r *TreeReader) SkipSame(other *TreeReader) (bool, error) {
	same := commonPrefix(r.rest, other.current)
	skipped := 0
	for {
		end := bytes.IndexByte(r.rest[skipped:], 0)
		if end < 0 || skipped+end+1+r.format.Size() > same {
			break
		}
		skipped += end + 1 + r.format.Size()
	}
	if skipped == 0 {
		return true, nil
	}
	r.rest = r.rest[skipped:]
	other.rest = other.current[skipped:]
	return other.Next()
}

// commonPrefix returns how many bytes a and b have in common at their start.
func commonPrefix(a, b []byte) int {
	n := min(len(a), len(b))
	i := 0
	for ; i+8 <= n; i += 8 {
		if x := binary.LittleEndian.Uint64(a[i:]) ^ binary.LittleEndian.Uint64(b[i:]); x != 0 {
			return i + bits.TrailingZeros64(x)/8
		}
	}
	for i < n && a[i] == b[i] {
		i++
	}
	return i
}

// Seek moves to the entry of that name, which is a tree or is none, or to where
// it would be: entries before it are passed over, and no entry is looked at
// twice. It tells whether the entry is there. The tree must be in Git's order,
// and names be asked for in that order; the first call comes before any Next.
func (r *TreeReader) Seek(name string, tree bool) (bool, error) {
	for r.current == nil || len(r.Name) > 0 && compareNames(r.Name, r.Mode.IsTree(), name, tree) < 0 {
		more, err := r.Next()
		if err != nil {
			return false, err
		}
		if !more {
			r.Name, r.current = nil, []byte{}
			return false, nil
		}
	}
	return string(r.Name) == name && r.Mode.IsTree() == tree, nil
}

// Entry copies the current entry.
func (r *TreeReader) Entry() TreeEntry { return TreeEntry{r.Mode, string(r.Name), r.ID} }

// ParseTree reads a whole tree. It accepts what git reads, not only what git
// writes: CheckObject says whether a tree is well formed in every detail.
func ParseTree(f ObjectFormat, data []byte) ([]TreeEntry, error) {
	entries := make([]TreeEntry, 0, len(data)/(f.Size()+20)+1)
	r := NewTreeReader(f, data)
	for {
		ok, err := r.Next()
		if err != nil {
			return nil, err
		}
		if !ok {
			return entries, nil
		}
		entries = append(entries, r.Entry())
	}
}

// FindTreeEntry returns the entry of that name in an encoded tree.
func FindTreeEntry(f ObjectFormat, data []byte, name string) (TreeEntry, bool, error) {
	r := NewTreeReader(f, data)
	for {
		ok, err := r.Next()
		if !ok || err != nil {
			return TreeEntry{}, false, err
		}
		if string(r.Name) == name {
			return r.Entry(), true, nil
		}
	}
}

// EncodeTree returns the bytes of a tree whose entries are in Git's order.
func EncodeTree(entries []TreeEntry) []byte {
	n := 0
	for i := range entries {
		n += 8 + len(entries[i].Name) + int(entries[i].ID.size)
	}
	b := make([]byte, 0, n)
	for i := range entries {
		e := &entries[i]
		b = append(strconv.AppendUint(b, uint64(e.Mode), 8), ' ')
		b = append(append(b, e.Name...), 0)
		b = append(b, e.ID.Bytes()...)
	}
	return b
}

// SortTree puts entries in Git's order: by name, where a tree's name counts
// as if it ended in a slash.
func SortTree(entries []TreeEntry) {
	slices.SortFunc(entries, CompareTreeEntries)
}

// CompareTreeEntries orders two entries as Git does (base_name_compare).
func CompareTreeEntries(a, b TreeEntry) int {
	return compareNames(a.Name, a.Mode.IsTree(), b.Name, b.Mode.IsTree())
}

func compareNames[A, B string | []byte](a A, aTree bool, b B, bTree bool) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return int(a[i]) - int(b[i])
		}
	}
	return int(nameEnd(a, n, aTree)) - int(nameEnd(b, n, bTree))
}

func nameEnd[T string | []byte](name T, at int, tree bool) byte {
	if at < len(name) {
		return name[at]
	}
	if tree {
		return '/'
	}
	return 0
}
