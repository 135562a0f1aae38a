// Package hostile makes packs that do harm to whoever believes them: bombs of
// zlib and of deltas, cycles, lies about sizes and counts, objects that no Git
// should take, and histories that are legal and heavy. They are a corpus for
// tests of everything that receives packs. All of it is made at run time, from
// code that says what each is; the package shares none with what it attacks.
package hostile

import (
	"slices"
	"strings"

	"github.com/cairn-storage/cairn/internal/git"
)

// The limits under which the cases are judged. They are below a server's
// defaults so that going over them is quick.
const (
	PackSize   = 32 << 20
	ObjectSize = 64 << 20
	Objects    = 1_000_000
	Inflated   = 128 << 20
)

// Verdict is what must become of a case.
type Verdict uint8

// The verdicts, by what refuses the pack.
const (
	// ByParser: the pack itself is refused, before any object matters.
	ByParser Verdict = iota
	// ByCheck: an object of it is.
	ByCheck
	// ByRepository: every object is well formed, but what they lead to is not
	// there, or not of the right kind, or a file that Git itself reads is
	// harmful.
	ByRepository
	// Legal: git would take it, and so must a server, without harm.
	Legal
)

// Case is a pack that somebody made to do harm.
type Case struct {
	Name    string
	Why     string // the harm it would do
	Verdict Verdict
	// Reason is in the text by which it is refused.
	Reason string
	// Setting is the name of the setting in that text, if it is for a limit that
	// can be set.
	Setting string
	// Large says that the pack takes long to make, or to take in; tests of
	// packs alone may leave it out.
	Large bool
	Make  func() Push
}

// Push is a pack and what a ref is to name after it.
type Push struct {
	Pack []byte
	Tip  git.ObjectID
}

// Cases returns all cases, in the order of their names.
func Cases() []Case {
	all := slices.Concat(framing(), deflation(), deltas(), objects(), structures(), heavy())
	slices.SortFunc(all, func(a, b Case) int { return strings.Compare(a.Name, b.Name) })
	for i := range all {
		all[i].Large = slices.Contains(large, all[i].Name)
	}
	return all
}

// large lists the cases that take long.
var large = []string{
	"commit-100000-parents", "commit-million-parents", "delta-comb", "delta-depth-100000", "delta-depth-100000-backwards",
	"diff-no-order", "diff-one-line", "diff-renames", "gitmodules-100001", "pack-too-large", "ref-delta-100000-missing",
	"same-object-100000-times", "stream-stored-bytes", "tag-chain-100000", "tiny-objects", "tree-500000-entries",
	"tree-depth-100000", "tree-million-entries", "zeros-60MiB", "zlib-bombs-honest",
}

// Named returns the case of that name; it panics if there is none.
func Named(name string) Case {
	for _, c := range Cases() {
		if c.Name == name {
			return c
		}
	}
	panic("no hostile case " + name)
}

// absent is an object that nobody has.
var absent = git.MustParseObjectID(strings.Repeat("12", 20))

// broken is a push of a pack that nobody should look into.
func broken(pack []byte) Push { return Push{Pack: pack, Tip: absent} }

// making makes a case's Make of what writes its pack and returns its tip.
func making(write func(p *pack) git.ObjectID) func() Push {
	return func() Push {
		p := &pack{}
		tip := write(p)
		return Push{Pack: p.bytes(), Tip: tip}
	}
}
