package git

import (
	"bytes"
	"fmt"
	"math/bits"
	"strings"
)

// ChangeID is the stable name of a change, as Jujutsu has them: successive
// commits that replace each other carry the same one. The zero id is that of
// the virtual root, which has no commit.
type ChangeID [16]byte

// The headers of commits that Jujutsu writes.
const (
	changeIDHeader       = "change-id"
	conflictTreesHeader  = "jj:trees"
	conflictLabelsHeader = "jj:conflict-labels"
)

// changeDigits are the digits 0 to f of a change id's text. They are no
// hexadecimal ones, so that no text is both a change id and a commit id.
const changeDigits = "zyxwvutsrqponmlk"

// String returns the 32 letters of the id.
func (id ChangeID) String() string {
	b := make([]byte, 0, 2*len(id))
	for _, c := range id {
		b = append(b, changeDigits[c>>4], changeDigits[c&15])
	}
	return string(b)
}

// MarshalText returns the letters, for JSON.
func (id ChangeID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// IsRoot tells whether it is the id of the virtual root.
func (id ChangeID) IsRoot() bool { return id == ChangeID{} }

// ParseChangeID reads the 32 letters of an id, in lower case.
func ParseChangeID(s string) (ChangeID, error) {
	id, ok := parseChangeID(s)
	if !ok || strings.ToLower(s) != s {
		return ChangeID{}, fmt.Errorf("a change id has 32 letters from k to z")
	}
	return id, nil
}

// parseChangeID also takes capital letters, as Jujutsu does.
func parseChangeID(s string) (id ChangeID, ok bool) {
	if len(s) != 2*len(id) {
		return id, false
	}
	for i := range len(s) {
		c := s[i] | 0x20
		if c < 'k' || c > 'z' {
			return ChangeID{}, false
		}
		id[i/2] = id[i/2]<<4 | ('z' - c)
	}
	return id, true
}

// SyntheticChangeID is the id of a change whose commit does not tell one: the
// last 16 bytes of the commit's id, bit by bit in reverse. Jujutsu computes the
// same.
func SyntheticChangeID(commit ObjectID) (id ChangeID) {
	raw := commit.AppendTo(nil)
	for i := range id {
		id[i] = bits.Reverse8(raw[len(raw)-1-i])
	}
	return id
}

// CommitSuffix is what the ids of commits end in of which this is the synthetic
// change id.
func (id ChangeID) CommitSuffix() (suffix [16]byte) {
	for i := range id {
		suffix[len(suffix)-1-i] = bits.Reverse8(id[i])
	}
	return suffix
}

// ChangeID returns the change id that a commit tells: that of the first such
// header. If that is malformed, or there is none, told is false; found tells
// the two apart.
func (c *Commit) ChangeID() (id ChangeID, told, found bool) {
	value, found := c.header(changeIDHeader)
	if !found {
		return id, false, false
	}
	id, told = parseChangeID(value)
	return id, told, true
}

// ChangeIDOf returns the id of the change that a commit belongs to.
func ChangeIDOf(commit ObjectID, c *Commit) ChangeID {
	if id, told, _ := c.ChangeID(); told {
		return id
	}
	return SyntheticChangeID(commit)
}

// MayTellChange is a quick test of a commit's bytes: false if it has no header
// with a change id.
func MayTellChange(data []byte) bool {
	return bytes.Contains(data, []byte("\n"+changeIDHeader))
}

func (c *Commit) header(name string) (value string, found bool) {
	for _, h := range c.Extra {
		if h.Name == name {
			return h.Value, true
		}
	}
	return "", false
}

// MaxConflictTerms bounds the trees that a conflicted commit is made of.
const MaxConflictTerms = 63

// Conflict is what a commit holds that could not be merged: trees, of which the
// first and every second one after it are added up, and those between taken
// away. There is an odd number of them, 3 at least. All paths but the
// conflicted ones are the same in all.
type Conflict struct {
	Trees []ObjectID
	// Labels say what each tree is; none, or as many as trees.
	Labels []string
}

// Conflict returns the conflict of a commit as Jujutsu stores it; ok is false
// for a commit without one. A malformed header is an error.
func (c *Commit) Conflict(f ObjectFormat) (conflict Conflict, ok bool, err error) {
	value, found := c.header(conflictTreesHeader)
	if !found {
		return Conflict{}, false, nil
	}
	if len(value) > MaxConflictTerms*(f.HexSize()+1) {
		return Conflict{}, false, fmt.Errorf("commit: %s: more than %d trees", conflictTreesHeader, MaxConflictTerms)
	}
	for text := range strings.SplitSeq(value, " ") {
		id, err := ParseObjectID(text)
		if err != nil || id.Format() != f {
			return Conflict{}, false, fmt.Errorf("commit: malformed %s header", conflictTreesHeader)
		}
		conflict.Trees = append(conflict.Trees, id)
	}
	if n := len(conflict.Trees); n < 3 || n%2 == 0 {
		return Conflict{}, false, fmt.Errorf("commit: %s header with %d trees", conflictTreesHeader, n)
	}
	if labels, found := c.header(conflictLabelsHeader); found {
		conflict.Labels = strings.Split(strings.TrimSuffix(labels, "\n"), "\n")
		if len(conflict.Labels) != len(conflict.Trees) {
			conflict.Labels = nil
		}
	}
	return conflict, true, nil
}

// Label returns what the tree at an index is; empty if that is not said.
func (c Conflict) Label(i int) string {
	if i < len(c.Labels) {
		return c.Labels[i]
	}
	return ""
}

// SetChange makes a commit one of a change, with a conflict if that has trees:
// the headers are replaced, in the order in which Jujutsu writes them, and
// signatures, which would not be right any more, are removed.
func (c *Commit) SetChange(id ChangeID, conflict Conflict) {
	var headers []Header
	if len(conflict.Trees) > 0 {
		if len(conflict.Labels) > 0 {
			headers = append(headers, Header{conflictLabelsHeader, strings.Join(conflict.Labels, "\n") + "\n"})
		}
		trees := make([]string, len(conflict.Trees))
		for i, tree := range conflict.Trees {
			trees[i] = tree.String()
		}
		headers = append(headers, Header{conflictTreesHeader, strings.Join(trees, " ")})
	}
	headers = append(headers, Header{changeIDHeader, id.String()})
	for _, h := range c.Extra {
		switch h.Name {
		case changeIDHeader, conflictTreesHeader, conflictLabelsHeader, "gpgsig", "gpgsig-sha256":
		case "": // malformed: it would go on the header before it
		default:
			headers = append(headers, h)
		}
	}
	c.Extra = headers
}

// The entries of the tree of a conflicted commit that are not of its first
// side: one folder for each of its trees, so that they are kept and can be
// cloned, and a text for people.
const (
	ConflictFolderPrefix = ".jjconflict"
	conflictBasePrefix   = ".jjconflict-base-"
	conflictSidePrefix   = ".jjconflict-side-"
	ConflictReadme       = "JJ-CONFLICT-README"
)

// ConflictReadmeText is what ConflictReadme says.
const ConflictReadmeText = `This commit has conflicts, stored as Jujutsu (jj) stores them, so it looks wrong
to plain Git and other tools that do not know of them.

The .jjconflict-* directories are the different inputs of the conflict.

If you see this file in your working copy, you have probably checked out a
conflicted commit with git. Check out another commit, or resolve the conflict
with jj or through the API.
`

// IsConflictEntry tells whether a name in the root of a conflicted commit's
// tree is one of the entries that represent the conflict.
func IsConflictEntry(name string) bool {
	return strings.HasPrefix(name, ConflictFolderPrefix) || name == ConflictReadme
}

// ConflictEntryName is the name of the folder for a tree of a conflict.
func ConflictEntryName(i int) string {
	if i%2 == 1 {
		return fmt.Sprintf("%s%d", conflictBasePrefix, i/2)
	}
	return fmt.Sprintf("%s%d", conflictSidePrefix, i/2)
}

// ConflictEntries returns the entries of the tree of a conflicted commit, given
// those of its first tree and the id of the text.
func ConflictEntries(first []TreeEntry, trees []ObjectID, readme ObjectID) []TreeEntry {
	var entries []TreeEntry
	for i, tree := range trees {
		entries = append(entries, TreeEntry{Mode: ModeTree, Name: ConflictEntryName(i), ID: tree})
	}
	entries = append(entries, TreeEntry{Mode: ModeFile, Name: ConflictReadme, ID: readme})
	for _, e := range first {
		if !IsConflictEntry(e.Name) {
			entries = append(entries, e)
		}
	}
	SortTree(entries)
	return entries
}
