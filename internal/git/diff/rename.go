package diff

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cairn-storage/cairn/internal/git"
)

// Renames are found as git's diffcore-rename finds them: deleted files are
// paired with added ones first where their content is the same, then where
// they alone share a base name and are similar enough, then by similarity,
// the best pairs first.

// maxScore is the similarity of equal contents. Scores are compared on git's
// own scale, as its rounding shows.
const maxScore = 60000

const (
	identicalLooked = 100       // deleted files of the same content that are looked at
	kept            = 4         // candidates kept for each added file
	maxRenameBytes  = 256 << 20 // content read to find renames
	maxRenameSteps  = 2 << 30   // fingerprint entries compared to find renames
)

// renames is the state of one detection.
type renames struct {
	ctx     context.Context
	src     Objects
	opts    TreeOptions
	minimum int // score of a rename

	deleted []*candidate
	added   []*candidate

	bytesLeft int64 // see maxRenameBytes
	stepsLeft int64
	table     *chunkTable
}

// candidate is a deleted or an added file.
type candidate struct {
	Side
	at      int        // in the list of changes
	partner *candidate // nil until paired
	score   int        // with partner, of an added file

	size        int64 // -1 until asked for
	fingerprint fingerprint
	printed     bool // fingerprint is set
}

// errRenameBudget ends a detection that has cost too much.
var errRenameBudget = errors.New("too much content to look for renames")

func findRenames(ctx context.Context, src Objects, changes []Change, opts TreeOptions) ([]Change, error) {
	percent := orDefault(opts.RenameScore, DefaultRenameScore)
	r := renames{ctx: ctx, src: src, opts: opts, minimum: min(percent, 100) * maxScore / 100,
		bytesLeft: maxRenameBytes, stepsLeft: maxRenameSteps}
	for i, c := range changes {
		switch c.Status {
		case Added:
			r.added = append(r.added, &candidate{Side: c.New, at: i, size: -1})
		case Deleted:
			r.deleted = append(r.deleted, &candidate{Side: c.Old, at: i, size: -1})
		}
	}
	if len(r.added) == 0 || len(r.deleted) == 0 {
		return changes, nil
	}
	r.pairIdentical()
	if err := r.pairSimilar(); err != nil && !errors.Is(err, errRenameBudget) {
		return nil, err
	}
	return r.apply(changes), nil
}

// apply joins the pairs into one change each.
func (r *renames) apply(changes []Change) []Change {
	gone := make([]bool, len(changes))
	for _, d := range r.deleted {
		gone[d.at] = d.partner != nil
	}
	for _, a := range r.added {
		if d := a.partner; d != nil {
			changes[a.at] = Change{Status: Renamed, Score: a.score * 100 / maxScore, Old: d.Side, New: a.Side}
			if d.Path == a.Path { // in a tree that is out of order
				changes[a.at].Status, changes[a.at].Score = Modified, 0
				gone[a.at] = d.Side == a.Side
			}
		}
	}
	out := changes[:0]
	for i, c := range changes {
		if !gone[i] {
			out = append(out, c)
		}
	}
	return out
}

func pair(old, new *candidate, score int) {
	old.partner, new.partner, new.score = new, old, score
}

func unpaired(list []*candidate) []*candidate {
	var out []*candidate
	for _, c := range list {
		if c.partner == nil {
			out = append(out, c)
		}
	}
	return out
}

// pairIdentical pairs files of the same content, preferring the same base name.
func (r *renames) pairIdentical() {
	byID := make(map[git.ObjectID][]*candidate, len(r.deleted))
	for _, d := range r.deleted {
		byID[d.ID] = append(byID[d.ID], d)
	}
	for _, a := range r.added {
		var best *candidate
		looked := 0
		for _, d := range byID[a.ID] {
			if d.Mode != a.Mode && !(d.Mode.IsFile() && a.Mode.IsFile()) || d.partner != nil {
				continue
			}
			if sameBase(d.Path, a.Path) {
				best = d
				break
			}
			if best == nil {
				best = d
			}
			if looked++; looked == identicalLooked {
				break
			}
		}
		if best != nil {
			pair(best, a, maxScore)
		}
	}
}

func baseName(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

func sameBase(a, b string) bool { return baseName(a) == baseName(b) }

// pairSimilar pairs what pairIdentical left by similarity.
func (r *renames) pairSimilar() error {
	if r.minimum == maxScore {
		return nil
	}
	r.table = chunkTables.Get().(*chunkTable)
	defer chunkTables.Put(r.table)
	if err := r.pairBaseNames(); err != nil {
		return err
	}
	deleted, added := unpaired(r.deleted), unpaired(r.added)
	if limit := max(orDefault(r.opts.RenameLimit, DefaultRenameLimit), 0); len(deleted)*len(added) > limit*limit {
		return nil
	}
	return r.pairBest(deleted, added)
}

// pairBaseNames pairs the files whose base name no other unpaired file has,
// if they are rather more similar than a rename has to be.
func (r *renames) pairBaseNames() error {
	minimum := r.minimum + (maxScore-r.minimum)/2
	deleted := unpaired(r.deleted)
	old, new := uniqueBases(deleted), uniqueBases(unpaired(r.added))
	for _, d := range deleted {
		base := baseName(d.Path)
		a := new[base]
		if old[base] == nil || a == nil {
			continue
		}
		score, err := r.similarity(d, a, minimum)
		if err != nil {
			return err
		}
		if score >= minimum {
			pair(d, a, score)
		}
	}
	return nil
}

// uniqueBases maps base names to the only file that has it, or to nil.
func uniqueBases(list []*candidate) map[string]*candidate {
	bases := make(map[string]*candidate, len(list))
	for _, c := range list {
		base := baseName(c.Path)
		if _, dup := bases[base]; dup {
			bases[base] = nil
		} else {
			bases[base] = c
		}
	}
	return bases
}

// scoredPair is a possible rename.
type scoredPair struct {
	old, new *candidate
	score    int
	sameBase bool
}

// comparePairs puts the better pair first, and a missing one last.
func comparePairs(a, b scoredPair) int {
	switch {
	case a.new == nil && b.new == nil:
		return 0
	case a.new == nil:
		return 1
	case b.new == nil:
		return -1
	case a.score != b.score:
		return cmp.Compare(b.score, a.score)
	case a.sameBase != b.sameBase && a.sameBase:
		return -1
	case a.sameBase != b.sameBase:
		return 1
	}
	return 0
}

// pairBest compares every deleted file with every added one.
func (r *renames) pairBest(deleted, added []*candidate) error {
	pairs := make([]scoredPair, 0, len(added)*kept)
	for _, a := range added {
		if err := r.ctx.Err(); err != nil {
			return err
		}
		var best [kept]scoredPair
		for _, d := range deleted {
			score, err := r.similarity(d, a, r.minimum)
			if err != nil {
				return err
			}
			keepBetter(&best, scoredPair{d, a, score, sameBase(d.Path, a.Path)})
		}
		pairs = append(pairs, best[:]...)
	}
	slices.SortStableFunc(pairs, comparePairs)
	for _, p := range pairs {
		if p.new == nil || p.score < r.minimum {
			break
		}
		if p.old.partner == nil && p.new.partner == nil {
			pair(p.old, p.new, p.score)
		}
	}
	return nil
}

// keepBetter replaces the worst of the candidates if p is better. Which of
// several equal ones that is shows in the order of equal pairs.
func keepBetter(best *[kept]scoredPair, p scoredPair) {
	worst := 0
	for i := 1; i < kept; i++ {
		if comparePairs(best[i], best[worst]) > 0 {
			worst = i
		}
	}
	if comparePairs(best[worst], p) > 0 {
		best[worst] = p
	}
}

// similarity estimates how much of two files is the same, from 0 to maxScore;
// 0 where it is below minimum by size alone, or a file is not looked into.
func (r *renames) similarity(old, new *candidate, minimum int) (int, error) {
	if !old.Mode.IsFile() || !new.Mode.IsFile() {
		return 0, nil
	}
	for _, c := range []*candidate{old, new} {
		if c.size >= 0 {
			continue
		}
		size, err := r.src.BlobSize(r.ctx, c.ID)
		if err != nil {
			return 0, fmt.Errorf("read %q: %w", c.Path, err)
		}
		c.size = size
	}
	larger, smaller := max(old.size, new.size), min(old.size, new.size)
	if larger > orDefault(r.opts.RenameFileSize, DefaultMaxFileSize) || new.size == 0 {
		return 0, nil
	}
	if larger*int64(maxScore-minimum) < (larger-smaller)*maxScore {
		return 0, nil
	}
	for _, c := range []*candidate{old, new} {
		if err := r.read(c); err != nil {
			return 0, err
		}
	}
	if r.stepsLeft -= int64(len(old.fingerprint) + len(new.fingerprint)); r.stepsLeft < 0 {
		return 0, errRenameBudget
	}
	return int(old.fingerprint.common(new.fingerprint) * maxScore / larger), nil
}

// read makes a candidate's fingerprint if it has none.
func (r *renames) read(c *candidate) error {
	if c.printed {
		return nil
	}
	if r.bytesLeft -= c.size; r.bytesLeft < 0 {
		return errRenameBudget
	}
	data, err := r.src.Blob(r.ctx, c.ID, c.size)
	if err != nil {
		return fmt.Errorf("read %q: %w", c.Path, err)
	}
	c.fingerprint, c.printed = r.table.fingerprint(data), true
	return nil
}
