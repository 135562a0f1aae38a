package commitgraph_test

import (
	"bytes"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/git/commitgraph"
	"github.com/cairn-storage/cairn/internal/gittest"
)

// source is a repository of stock git and the commits and trees that it holds.
type source struct {
	repo    *gittest.Repo
	format  git.ObjectFormat
	order   []git.ObjectID // parents first
	commits map[git.ObjectID]git.CommitLinks
	trees   map[git.ObjectID][]byte
	ascii   bool // all paths are
}

func (s *source) Tree(_ context.Context, id git.ObjectID) ([]byte, error) {
	data, ok := s.trees[id]
	if !ok && id != s.format.EmptyTree() {
		return nil, fmt.Errorf("no tree %s", id)
	}
	return data, nil
}

func (s *source) Blob(context.Context, git.ObjectID, int64) ([]byte, error) {
	return nil, fmt.Errorf("a blob was read")
}

func (s *source) BlobSize(context.Context, git.ObjectID) (int64, error) {
	return 0, fmt.Errorf("the size of a blob was read")
}

// load reads all commits that the repository's refs reach.
func load(t testing.TB, r *gittest.Repo) *source {
	t.Helper()
	format, err := git.ParseObjectFormat(r.Git("rev-parse", "--show-object-format"))
	if err != nil {
		t.Fatal(err)
	}
	s := &source{repo: r, format: format, commits: map[git.ObjectID]git.CommitLinks{}, trees: map[git.ObjectID][]byte{}}
	for _, o := range r.Objects() {
		id := git.MustParseObjectID(o.ID)
		switch o.Type {
		case "tree":
			s.trees[id] = o.Data
		case "commit":
			if s.commits[id], err = git.ParseCommitLinks(format, o.Data); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, hex := range strings.Fields(r.Git("rev-list", "--all", "--topo-order", "--reverse")) {
		s.order = append(s.order, git.MustParseObjectID(hex))
	}
	s.ascii = !strings.ContainsFunc(r.Git("-c", "core.quotePath=false", "log", "--all", "-m", "--format=", "--name-only", "-z"), func(c rune) bool { return c >= 0x80 })
	return s
}

// tree of the first parent of a commit; zero if it has none.
func (s *source) before(id git.ObjectID) git.ObjectID {
	if p := s.commits[id].Parents; len(p) > 0 {
		return s.commits[p[0]].Tree
	}
	return git.ObjectID{}
}

// build returns the file of the commits, added in the given order.
func (s *source) build(t testing.TB, order []git.ObjectID) []byte {
	t.Helper()
	b := commitgraph.NewBuilder(s.format)
	for _, id := range order {
		filter, err := commitgraph.ChangedPaths(t.Context(), s.format, s, s.before(id), s.commits[id].Tree)
		if err != nil {
			t.Fatal(err)
		}
		b.Add(id, s.commits[id], filter)
	}
	var out bytes.Buffer
	if err := b.Write(&out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func (s *source) path() string {
	return filepath.Join(s.repo.GitDir(), "objects", "info", "commit-graph")
}

// gits returns the file that git writes of the commits.
func (s *source) gits(t testing.TB) []byte {
	t.Helper()
	s.repo.Git("commit-graph", "write", "--reachable", "--changed-paths", "--no-progress")
	data, err := os.ReadFile(s.path())
	if err != nil {
		t.Fatal(err)
	}
	os.Remove(s.path())
	return data
}

// verify asks git what it thinks of a file.
func (s *source) verify(t testing.TB, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(s.path()), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.path(), data, 0o666); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(s.path())
	if out, err := gittest.Command(t, s.repo.Dir, "commit-graph", "verify").CombinedOutput(); err != nil || len(bytes.TrimSpace(out)) > 0 {
		t.Errorf("git commit-graph verify: %v\n%s", err, out)
	}
}

func parse(t testing.TB, f git.ObjectFormat, data []byte) *commitgraph.Graph {
	t.Helper()
	g, err := commitgraph.Parse(f, data)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Verify(); err != nil {
		t.Error(err)
	}
	return g
}

// edges has a commit on each side of the bounds of the format: of changed
// paths, of parents, of dates.
func edges(t testing.TB) *gittest.Repo {
	var in strings.Builder
	mark, blob := 0, "data 1\nx\n"
	commit := func(date int64, parents []int, files func(add func(path string))) int {
		mark++
		fmt.Fprintf(&in, "reset refs/heads/tmp\n\ncommit refs/heads/tmp\nmark :%d\ncommitter C <c@example.com> %d +0000\ndata 0\n", mark, date)
		for i, p := range parents {
			fmt.Fprintf(&in, "%s :%d\n", map[bool]string{true: "from", false: "merge"}[i == 0], p)
		}
		if files != nil {
			files(func(path string) { fmt.Fprintf(&in, "M 100644 inline %s\n%s", path, blob) })
		}
		fmt.Fprintf(&in, "reset refs/heads/b%d\nfrom :%d\n\n", mark, mark)
		return mark
	}
	several := func(n int, format string) func(add func(string)) {
		return func(add func(string)) {
			for i := range n {
				add(fmt.Sprintf(format, i))
			}
		}
	}
	commit(0, nil, nil) // no date, no parents, no files
	root := commit(gittest.Epoch, nil, several(3, "base/%d"))
	for i, n := range []int{510, 511, 512, 513} {
		commit(gittest.Epoch+60, []int{root}, several(n, fmt.Sprintf("flat%d-%%d", i)))
		commit(gittest.Epoch+60, []int{root}, several(n, fmt.Sprintf("dir%d/%%d", i)))
		commit(gittest.Epoch+60, []int{root}, several(n/2, fmt.Sprintf("dirs%d/%%d/file", i)))
	}
	var sides []int
	for i := range 40 {
		sides = append(sides, commit(gittest.Epoch+int64(i), []int{root}, several(1, fmt.Sprintf("side%d-%%d", i))))
	}
	octopus := commit(gittest.Epoch+200, sides[:3], nil)
	octopus = commit(gittest.Epoch+100, append([]int{octopus}, sides...), several(2, "octopus%d"))
	future := commit(1<<31+5, []int{octopus}, several(1, "after-2038-%d"))
	late := commit(1<<33+7, []int{future}, several(1, "late-%d"))
	last := commit(1<<34-1, []int{late}, several(1, "last-%d"))
	commit(5, []int{last}, several(1, "long-ago-%d")) // corrected by more than 31 bits
	old := commit(1, []int{late, last}, nil)
	commit(gittest.Epoch, []int{old}, several(1, "base/%d"))
	r := gittest.Init(t, gittest.Bare())
	r.GitInput(in.String(), "fast-import", "--quiet", "--force", "--date-format=raw-permissive")
	return r
}

// eachSource runs a test for histories of all kinds.
func eachSource(t *testing.T, test func(t *testing.T, s *source)) {
	t.Parallel()
	for name, repo := range map[string]func(t *testing.T) *gittest.Repo{
		"tame": func(t *testing.T) *gittest.Repo { return gittest.Random(t, 1, gittest.Options{Tame: true}) },
		"skewed": func(t *testing.T) *gittest.Repo {
			return gittest.Random(t, 2, gittest.Options{Skew: true, Commits: 120})
		},
		"sha256": func(t *testing.T) *gittest.Repo {
			return gittest.Random(t, 3, gittest.Options{Tame: true, Format: "sha256"})
		},
		"edges": func(t *testing.T) *gittest.Repo { return edges(t) },
		"empty": func(t *testing.T) *gittest.Repo { return gittest.Init(t, gittest.Bare()) },
		"own": func(t *testing.T) *gittest.Repo {
			r, ok := gittest.History(t)
			if !ok {
				t.Skip("this tree is no repository")
			}
			return r
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, load(t, repo(t)))
		})
	}
}

// asVersion1 makes of a file that we wrote what git before 2.46 would have
// written, where all paths are ASCII.
func asVersion1(f git.ObjectFormat, data []byte) []byte {
	data = slices.Clone(data[:len(data)-f.Size()])
	for i := range int(data[6]) {
		entry := data[8+12*i:]
		if string(entry[:4]) == "BDAT" {
			binary.BigEndian.PutUint32(data[binary.BigEndian.Uint64(entry[4:]):], 1)
		}
	}
	if f == git.SHA256 {
		sum := sha256.Sum256(data)
		return append(data, sum[:]...)
	}
	sum := sha1.Sum(data)
	return append(data, sum[:]...)
}

func TestBuilderWritesWhatGitWrites(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		if len(s.order) == 0 {
			t.Skip("git writes no file without commits")
		}
		ours, gits := s.build(t, s.order), s.gits(t)
		random := rand.New(rand.NewPCG(1, 1))
		random.Shuffle(len(s.order), func(i, j int) { s.order[i], s.order[j] = s.order[j], s.order[i] })
		if !bytes.Equal(s.build(t, s.order), ours) {
			t.Error("the order in which commits are added changes the file")
		}
		if v := binary.BigEndian.Uint32(chunkOf(gits, "BDAT")); v == 1 {
			ours = asVersion1(s.format, ours)
		}
		for _, id := range []string{"OIDF", "OIDL", "CDAT", "GDA2", "GDO2", "EDGE", "BIDX"} {
			if !bytes.Equal(chunkOf(ours, id), chunkOf(gits, id)) {
				t.Errorf("chunk %s differs from git's", id)
			}
		}
		if s.ascii && !bytes.Equal(ours, gits) {
			t.Error("the file differs from git's")
		}
	})
}

// chunkOf is a chunk of a well-formed file.
func chunkOf(data []byte, id string) []byte {
	for i := range int(data[6]) {
		entry := data[8+12*i:]
		if string(entry[:4]) == id {
			return data[binary.BigEndian.Uint64(entry[4:]):binary.BigEndian.Uint64(entry[16:])]
		}
	}
	return nil
}

func TestGitVerifiesWhatBuilderWrites(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) { s.verify(t, s.build(t, s.order)) })
}

func TestGraphSaysWhatCommitsSay(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		files := [][]byte{s.build(t, s.order)}
		if len(s.order) > 0 {
			files = append(files, s.gits(t))
		}
		for _, data := range files {
			g := parse(t, s.format, data)
			if g.Len() != len(s.order) || g.Format() != s.format {
				t.Fatalf("got %d commits of %s, want %d of %s", g.Len(), g.Format(), len(s.order), s.format)
			}
			type numbers struct {
				level     uint32
				corrected int64
			}
			want := map[git.ObjectID]numbers{}
			for _, id := range s.order {
				links := s.commits[id]
				n := numbers{1, max(1, links.Date)}
				for _, p := range links.Parents {
					n.level, n.corrected = max(n.level, want[p].level+1), max(n.corrected, want[p].corrected+1)
				}
				want[id] = n
				pos, ok := g.Find(id)
				if !ok || g.ID(pos) != id {
					t.Fatalf("commit %s is not found", id)
				}
				c, err := g.Commit(pos)
				if err != nil {
					t.Fatal(err)
				}
				got, err := g.Links(pos)
				if err != nil {
					t.Fatal(err)
				}
				var parents []git.ObjectID
				for _, p := range c.Parents {
					parents = append(parents, g.ID(p))
				}
				if c.Tree != links.Tree || c.Date != links.Date || !slices.Equal(parents, links.Parents) ||
					got.Tree != links.Tree || got.Date != links.Date || !slices.Equal(got.Parents, links.Parents) {
					t.Errorf("commit %s:\ngot  %v\n     %v\nwant %v", id, c, got, links)
				}
				if generation := g.Generation(pos); c.Level != n.level || c.CorrectedDate != n.corrected || generation != n.corrected {
					t.Errorf("commit %s: got level %d, corrected date %d, generation %d; want %v", id, c.Level, c.CorrectedDate, generation, n)
				}
			}
			if pos, ok := g.Find(s.format.EmptyTree()); ok {
				t.Errorf("the empty tree is found, at %d", pos)
			}
		}
	})
}

// TestFiltersHideNoChange asks every filter for what git says that the commit
// changed, and holds filters to ruling out most of what it did not.
func TestFiltersHideNoChange(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		files := [][]byte{s.build(t, s.order)}
		if len(s.order) > 0 {
			files = append(files, s.gits(t))
		}
		changed := map[git.ObjectID][]string{}
		var all []string
		// --diff-merges=first-parent compares with the first parent only.
		log := s.repo.Git("log", "--all", "--root", "--diff-merges=first-parent", "--no-renames", "--format=%x00%x00%H", "--name-only", "-z")
		for part := range strings.SplitSeq(log, "\x00\x00") { // no path is empty
			hex, names, _ := strings.Cut(strings.Trim(part, "\x00"), "\x00")
			if hex == "" {
				continue
			}
			id := git.MustParseObjectID(hex)
			for name := range strings.SplitSeq(strings.TrimPrefix(names, "\n"), "\x00") {
				for dir := name; dir != "" && dir != "."; dir = filepath.Dir(dir) {
					changed[id] = append(changed[id], dir)
				}
			}
			all = append(all, changed[id]...)
		}
		for _, data := range files {
			g := parse(t, s.format, data)
			asked, passed := 0, 0
			for _, id := range s.order {
				pos, _ := g.Find(id)
				filter, ok := g.Filter(pos)
				if !ok {
					t.Fatalf("commit %s has no filter", id)
				}
				if !filter.MayContain(g.NewKey("")) {
					t.Errorf("commit %s cannot have changed anything", id)
				}
				for _, path := range changed[id] {
					if !filter.MayContain(g.NewKey(path)) {
						t.Errorf("commit %s changed %q, says git; not so, says its filter", id, path)
					}
				}
				if len(changed[id]) > commitgraph.MaxChangedPaths/2 {
					continue
				}
				for i := 0; i < len(all); i += 1 + len(all)/50 {
					if path := all[i]; !slices.Contains(changed[id], path) && isASCII(path) {
						if asked++; filter.MayContain(g.NewKey(path)) {
							passed++
						}
					}
				}
			}
			if asked > 1000 && passed > asked/20 {
				t.Errorf("filters let pass %d of %d paths that did not change", passed, asked)
			}
		}
	})
}

func isASCII(s string) bool { return !strings.ContainsFunc(s, func(c rune) bool { return c >= 0x80 }) }

// TestCommitsThatDoNotFitAreLeftOut has dates that the format cannot hold, and
// parents that were not added; what descends from those goes too.
func TestCommitsThatDoNotFitAreLeftOut(t *testing.T) {
	t.Parallel()
	id := func(n int) git.ObjectID {
		raw := make([]byte, git.SHA1.Size())
		raw[0], raw[19] = byte(n*37), byte(n)
		id, err := git.ObjectIDFromBytes(raw)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	b := commitgraph.NewBuilder(git.SHA1)
	add := func(n int, date int64, parents ...int) {
		links := git.CommitLinks{Tree: git.SHA1.EmptyTree(), Date: date}
		for _, p := range parents {
			links.Parents = append(links.Parents, id(p))
		}
		b.Add(id(n), links, commitgraph.NewPathFilter([]string{strconv.Itoa(n)}))
	}
	add(9, 90, 8, 3)
	add(8, 80, 2)
	add(1, 10)
	add(2, 1<<34-1, 1)
	add(3, 1<<34, 2)
	add(4, 40, 3, 1) // descends from 3
	add(5, 50, 99)   // no such parent
	add(6, 60, 1, 5)
	add(7, -1, 1)
	add(10, 100, 2, 1, 8)
	var out bytes.Buffer
	if err := b.Write(&out); err != nil {
		t.Fatal(err)
	}
	g := parse(t, git.SHA1, out.Bytes())
	for n := range 11 {
		pos, ok := g.Find(id(n))
		if want := slices.Contains([]int{1, 2, 8, 10}, n); ok != want {
			t.Errorf("commit %d: got %t, want %t", n, ok, want)
		}
		if !ok {
			continue
		}
		filter, _ := g.Filter(pos)
		if !filter.MayContain(g.NewKey(strconv.Itoa(n))) {
			t.Errorf("commit %d has the filter of another", n)
		}
	}
	pos, _ := g.Find(id(10))
	if links, err := g.Links(pos); err != nil || !slices.Equal(links.Parents, []git.ObjectID{id(2), id(1), id(8)}) {
		t.Errorf("parents of 10: got %v, %v", links.Parents, err)
	}
}

func TestBuilderRefusesWhatIsNoHistory(t *testing.T) {
	t.Parallel()
	a, b := git.MustParseObjectID(strings.Repeat("a", 40)), git.MustParseObjectID(strings.Repeat("b", 40))
	for name, add := range map[string]func(*commitgraph.Builder){
		"a commit twice": func(x *commitgraph.Builder) {
			x.Add(a, git.CommitLinks{Tree: b}, commitgraph.PathFilter{})
			x.Add(a, git.CommitLinks{Tree: b}, commitgraph.PathFilter{})
		},
		"a circle": func(x *commitgraph.Builder) {
			x.Add(a, git.CommitLinks{Tree: b, Parents: []git.ObjectID{b}}, commitgraph.PathFilter{})
			x.Add(b, git.CommitLinks{Tree: b, Parents: []git.ObjectID{a}}, commitgraph.PathFilter{})
		},
	} {
		x := commitgraph.NewBuilder(git.SHA1)
		add(x)
		if err := x.Write(&bytes.Buffer{}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
