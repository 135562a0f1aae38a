package service

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cairn-storage/cairn/internal/admission"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/git/glob"
	"github.com/cairn-storage/cairn/internal/git/grep"
	"github.com/cairn-storage/cairn/internal/odb"
)

// Bounds of a search.
const (
	grepFiles      = 200 // of a page
	maxGrepFiles   = 1000
	maxGrepLines   = 2000 // of a page
	grepMatches    = 200  // of a file
	maxGrepMatches = 2000
	maxGrepContext = 100
	maxGrepFilters = 100
	// maxGrepFile is the largest file that is searched, in bytes.
	maxGrepFile = 8 << 20
	// maxGrepText is how much of a line is shown, in bytes.
	maxGrepText = 4096
	// grepBatch is how many files are searched before their matches are looked
	// at, and grepTime after how long a page ends with what it has.
	grepBatch = 256
	grepTime  = 15 * time.Second
	// grepHeld is how many bytes of matches of a batch are held at a time;
	// what is over is searched again when its turn comes.
	grepHeld = 32 << 20
)

// GrepQuery says what to look for, and where.
type GrepQuery struct {
	Revision
	Pattern       string // a regular expression of RE2's kind, for single lines
	CaseSensitive bool
	Paths         []string // files and folders; none means all
	Include       []string // globs of which one must match; none means all
	Exclude       []string // globs of which none may match
	Extensions    []string // ends of names of which one must match; none means all
	Before, After int      // lines of context
	MaxLines      int      // of a page
	MaxMatches    int      // lines of a file that match
	Cursor        string
	Limit         int // files of a page
}

// FileMatches are the lines of a file that match, with their context.
type FileMatches struct {
	Path  string
	Lines []MatchLine
}

// MatchLine is one of them.
type MatchLine struct {
	Number int // from 1
	Text   string
	Match  bool // else it is context
}

// GrepPage is a part of the result of a search.
type GrepPage struct {
	Ref     string // the revision as asked for, or the default branch
	Commit  git.ObjectID
	Matches []FileMatches
	Next    string // the cursor of the next page; empty at the end
}

// Grep searches the regular files of a commit line by line, in the order of
// git grep. Binary files and those over 8 MiB are passed over. A search that
// takes long ends its page early.
func (s *Service) Grep(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, q GrepQuery) (GrepPage, error) {
	sn, err := s.openAt(ctx, who, repo, q.At)
	if err != nil {
		return GrepPage{}, err
	}
	defer sn.Close()
	q.Revision = q.orDefault(sn)
	search, err := q.newSearch()
	if err != nil {
		return GrepPage{}, err
	}
	if err := admission.Enter(ctx, admission.List); err != nil {
		return GrepPage{}, err
	}
	search.sn = sn
	search.page = GrepPage{Ref: q.Name, Matches: []FileMatches{}}
	if search.page.Commit, err = q.resolve(ctx, sn); err != nil {
		return GrepPage{}, err
	}
	search.listing = list("grep", sn, append([]string{search.page.Commit.String(), q.Name, flag(q.Ephemeral), q.Pattern, flag(q.CaseSensitive),
		strconv.Itoa(q.Before), strconv.Itoa(q.After), strconv.Itoa(search.matches)}, q.filters()...)...)
	if err := search.begin(q.Cursor); err != nil {
		return GrepPage{}, err
	}
	links, err := sn.Commit(ctx, search.page.Commit)
	if err != nil {
		return GrepPage{}, err
	}
	walk := odb.WalkOptions{Recursive: true, MaxEntries: s.limits.WalkEntries, After: search.after}
	err = sn.Walk(ctx, links.Tree, walk, func(path string, e git.TreeEntry) error { return search.visit(ctx, path, e) })
	if err == nil && !search.full {
		err = search.flush(ctx)
	}
	if errors.Is(err, odb.ErrStop) {
		err = nil
	}
	return search.page, err
}

// filters are what chooses files, each list with its length so that none runs
// into the next.
func (q GrepQuery) filters() (all []string) {
	for _, l := range [][]string{q.Paths, q.Include, q.Exclude, q.Extensions} {
		all = append(append(all, strconv.Itoa(len(l))), l...)
	}
	return all
}

// grepSearch is a search under way.
type grepSearch struct {
	sn               *odb.Snapshot
	pattern          *grep.Pattern
	include, exclude *glob.Set
	query            GrepQuery
	paths            []string
	matches          int // of a file
	files, lines     int // left of the page
	listing          query
	deadline         time.Time

	after   string // the last path of the page before; not searched again
	resume  string // a path of which lines up to the next are known
	skipTo  int
	batch   []FileEntry
	visited int
	page    GrepPage
	full    bool
}

func (q GrepQuery) newSearch() (*grepSearch, error) {
	g := &grepSearch{
		query:    q,
		matches:  clampLimit(q.MaxMatches, grepMatches, maxGrepMatches),
		files:    clampLimit(q.Limit, grepFiles, maxGrepFiles),
		lines:    clampLimit(q.MaxLines, maxGrepLines, maxGrepLines),
		deadline: time.Now().Add(grepTime),
	}
	g.query.Before, g.query.After = min(q.Before, maxGrepContext), min(q.After, maxGrepContext)
	if len(q.Paths) > maxGrepFilters || len(q.Extensions) > maxGrepFilters {
		return nil, cairn.Errorf(cairn.Invalid, "more than %d paths or extensions", maxGrepFilters)
	}
	for _, path := range q.Paths {
		clean, err := cleanPath(path)
		if err != nil {
			return nil, err
		}
		if clean != "" {
			if slices.ContainsFunc(strings.Split(clean, "/"), func(name string) bool { return name == "" || name == "." || name == ".." }) {
				return nil, cairn.Errorf(cairn.Invalid, "%q is no path of a tree", cairn.Clip(path))
			}
			g.paths = append(g.paths, clean)
		} else {
			g.paths = nil // the root: all
			break
		}
	}
	var err error
	if g.pattern, err = grep.Compile(q.Pattern, q.CaseSensitive); err != nil {
		return nil, cairn.Errorf(cairn.Invalid, "%w", err)
	}
	if g.include, g.exclude, err = compileGlobs(q.Include, q.Exclude); err != nil {
		return nil, err
	}
	return g, nil
}

// compileGlobs reads the globs that choose files.
func compileGlobs(include, exclude []string) (in, out *glob.Set, err error) {
	if in, err = glob.Compile(include); err == nil {
		out, err = glob.Compile(exclude)
	}
	if err != nil {
		return nil, nil, cairn.Errorf(cairn.Invalid, "%w", err)
	}
	return in, out, nil
}

// begin goes to where the page before ended: after a path, or after a line of
// it.
func (g *grepSearch) begin(cursor string) error {
	position, err := g.listing.position(cursor, 3)
	if err != nil || position == nil {
		return err
	}
	g.after, g.resume = position[0], position[1]
	if g.skipTo, err = strconv.Atoi(position[2]); err != nil {
		return cairn.Errorf(cairn.Invalid, "invalid cursor")
	}
	return nil
}

// visit takes a file of the tree.
func (g *grepSearch) visit(ctx context.Context, path string, e git.TreeEntry) error {
	if g.visited++; g.visited%256 == 0 && ctx.Err() != nil {
		return ctx.Err()
	}
	if !e.Mode.IsFile() || !g.wants(path) {
		return nil
	}
	g.batch = append(g.batch, FileEntry{path, e.Mode, e.ID})
	if len(g.batch) < grepBatch {
		return nil
	}
	return g.flush(ctx)
}

func (g *grepSearch) wants(path string) bool {
	below := func(folder string) bool {
		return strings.HasPrefix(path, folder) && (len(path) == len(folder) || path[len(folder)] == '/')
	}
	ends := func(extension string) bool { return strings.HasSuffix(path, "."+strings.TrimPrefix(extension, ".")) }
	return (len(g.paths) == 0 || slices.ContainsFunc(g.paths, below)) &&
		(len(g.query.Extensions) == 0 || slices.ContainsFunc(g.query.Extensions, ends)) &&
		(len(g.query.Include) == 0 || g.include.Match(path)) && !g.exclude.Match(path)
}

// flush searches the files of the batch; ErrStop when the page is full.
func (g *grepSearch) flush(ctx context.Context) error {
	// The same content may lie at many paths.
	at := map[git.ObjectID]int{}
	var ids []git.ObjectID
	for _, file := range g.batch {
		if _, ok := at[file.ID]; !ok {
			at[file.ID] = len(ids)
			ids = append(ids, file.ID)
		}
	}
	found := make([][]MatchLine, len(ids))
	dropped := make([]bool, len(ids))
	var held atomic.Int64
	resumed := -1
	if i := slices.IndexFunc(g.batch, func(f FileEntry) bool { return f.Path == g.resume }); i >= 0 {
		resumed = at[g.batch[i].ID]
	}
	err := g.sn.ScanBlobs(ctx, ids, maxGrepFile, func(i int, content []byte) error {
		if held.Load() > grepHeld {
			dropped[i] = true
			return nil
		}
		found[i] = g.search(content, i == resumed)
		for _, l := range found[i] {
			held.Add(int64(len(l.Text)) + 64)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, file := range g.batch {
		lines := found[at[file.ID]]
		if i := at[file.ID]; dropped[i] {
			err := g.sn.ScanBlobs(ctx, ids[i:i+1], maxGrepFile, func(_ int, content []byte) error {
				lines = g.search(content, i == resumed)
				return nil
			})
			if err != nil {
				return err
			}
		}
		if file.Path == g.resume {
			lines = slices.DeleteFunc(slices.Clone(lines), func(l MatchLine) bool { return l.Number <= g.skipTo })
		}
		if err := g.add(file.Path, lines); err != nil {
			return err
		}
	}
	if time.Now().After(g.deadline) {
		return g.stop(g.batch[len(g.batch)-1].Path, "", 0)
	}
	g.batch = g.batch[:0]
	return nil
}

// search returns lines of one file: as many as the page may still take, and one
// more; of a file that the page before showed a part of also what that had.
func (g *grepSearch) search(content []byte, resumed bool) []MatchLine {
	o := grep.Options{Before: g.query.Before, After: g.query.After, MaxMatches: g.matches, MaxLines: g.lines + 1}
	if resumed {
		o.MaxLines += g.skipTo
	}
	var lines []MatchLine
	if grep.IsBinary(content) {
		return nil
	}
	for _, l := range g.pattern.Lines(content, o) {
		lines = append(lines, MatchLine{l.Number, string(l.Text[:min(len(l.Text), maxGrepText)]), l.Match})
	}
	return lines
}

// add adds what a file has to the page.
func (g *grepSearch) add(path string, lines []MatchLine) error {
	if len(lines) == 0 {
		g.after = path
		return nil
	}
	if g.files == 0 || g.lines == 0 {
		return g.stop(g.after, "", 0)
	}
	if len(lines) > g.lines {
		lines = lines[:g.lines]
		g.page.Matches = append(g.page.Matches, FileMatches{path, lines})
		return g.stop(g.after, path, lines[len(lines)-1].Number)
	}
	g.page.Matches = append(g.page.Matches, FileMatches{path, lines})
	g.files--
	g.lines -= len(lines)
	g.after = path
	return nil
}

// stop ends the page. The next one goes on after a path, at the next one after
// a line.
func (g *grepSearch) stop(after, resume string, line int) error {
	g.full = true
	g.page.Next = g.listing.cursor(after, resume, strconv.Itoa(line))
	return odb.ErrStop
}
