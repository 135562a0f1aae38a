package service

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/git/diff"
	"github.com/cairn-storage/cairn/internal/gittest"
	"github.com/cairn-storage/cairn/internal/odb"
)

// changeTest is a repository and somebody who makes changes in it.
type changeTest struct {
	*tenants
	t    testing.TB
	who  cairn.Actor
	name cairn.RepositoryName
	row  cairn.Repository
}

func newChangeTest(t testing.TB) *changeTest {
	f := newTenants(t)
	row := f.create(t, "acme", "r")
	return &changeTest{f, t, f.actor(t, "acme", "r", cairn.GitRead, cairn.GitWrite), "r", row}
}

var nobody git.ChangeID // the virtual root

func file(path, content string) ChangeFile { return ChangeFile{Path: path, Content: []byte(content)} }

// change makes a change that must succeed.
func (c *changeTest) change(base git.ChangeID, message string, files ...ChangeFile) Change {
	c.t.Helper()
	made, err := c.CreateChange(c.t.Context(), c.who, c.name, NewChange{Base: base, CommitInfo: CommitInfo{Message: message, Author: ann}, Files: files})
	if err != nil {
		c.t.Fatal(err)
	}
	return made
}

// update changes a change, which must succeed.
func (c *changeTest) update(id git.ChangeID, in ChangeUpdate) Change {
	c.t.Helper()
	made, err := c.UpdateChange(c.t.Context(), c.who, c.name, id, in)
	if err != nil {
		c.t.Fatal(err)
	}
	return made
}

// detail reads a change.
func (c *changeTest) detail(id git.ChangeID) ChangeDetail {
	c.t.Helper()
	got, err := c.Change(c.t.Context(), c.who, c.name, id)
	if err != nil {
		c.t.Fatal(err)
	}
	return got
}

func (c *changeTest) noDetail(id git.ChangeID) {
	c.t.Helper()
	if got, err := c.Change(c.t.Context(), c.who, c.name, id); cairn.KindOf(err) != cairn.NotFound {
		c.t.Fatalf("%+v, %v, want not found", got, err)
	}
}

// point puts a bookmark at a change, making it if it is not there.
func (c *changeTest) point(name string, to git.ChangeID) {
	c.t.Helper()
	_, err := c.CreateBookmark(c.t.Context(), c.who, c.name, name, to)
	if errors.Is(err, cairn.Conflict) {
		_, _, err = c.MoveBookmark(c.t.Context(), c.who, c.name, name, to, true)
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *changeTest) snapshot() *odb.Snapshot {
	c.t.Helper()
	sn, err := c.store.SnapshotOf(c.t.Context(), c.row.RepositoryKey)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(sn.Close)
	return sn
}

// export makes a git repository of all objects and refs and checks it as git
// does.
func (c *changeTest) export() *gittest.Repo {
	c.t.Helper()
	repo := gittest.Init(c.t, gittest.Bare())
	err := c.metadata.View(c.t.Context(), func(tx cairn.Tx) error {
		manifest, err := tx.Packs().Manifest(c.row.RepositoryKey)
		if err != nil {
			return err
		}
		for _, p := range manifest {
			if p, err = tx.Packs().Get(c.row.Organization, p.ID); err != nil {
				return err
			}
			base := filepath.Join(repo.GitDir(), "objects", "pack", "pack-"+string(p.ID))
			if err := errors.Join(os.WriteFile(base+".pack", p.Data, 0o600), os.WriteFile(base+".idx", p.Index, 0o600)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		c.t.Fatal(err)
	}
	for _, ref := range c.snapshot().Refs() {
		repo.Git("update-ref", string(ref.Name), ref.Target.String())
	}
	gittest.Fsck(c.t, repo.GitDir())
	return repo
}

// hidden lists the changes that hidden refs keep.
func (c *changeTest) hidden() []string {
	var ids []string
	for _, ref := range c.snapshot().RefsBelow(odb.ChangePrefix) {
		ids = append(ids, strings.TrimPrefix(string(ref.Name), odb.ChangePrefix))
	}
	return ids
}

func (c *changeTest) wantHidden(want ...git.ChangeID) {
	c.t.Helper()
	var texts []string
	for _, id := range want {
		texts = append(texts, id.String())
	}
	slices.Sort(texts)
	if got := c.hidden(); !slices.Equal(got, texts) {
		c.t.Fatalf("hidden refs keep %q, want %q", got, texts)
	}
}

func TestChangesWithoutABookmark(t *testing.T) {
	t.Parallel()
	c := newChangeTest(t)
	head, err := c.HeadChange(t.Context(), c.who, c.name)
	if err != nil || head != (ChangeAt{}) {
		t.Fatalf("head of an empty repository: %v, %v", head, err)
	}
	a := c.change(nobody, "first", file("a.txt", "a\n"), file("d/b.txt", "b\n"))
	if !slices.Equal(a.Parents, []git.ChangeID{{}}) || a.Message != "first" || a.Author.Name != "Ann" || a.Conflicted {
		t.Fatalf("%+v", a)
	}
	c.wantHidden(a.ID)
	b := c.change(a.ID, "", ChangeFile{Path: "d", Delete: true}, file("x", "x\n"))
	c.wantHidden(b.ID) // which leads to a
	got := c.detail(b.ID)
	if !slices.Equal(got.Files, []string{"d/b.txt", "x"}) || len(got.Conflicts) != 0 || !slices.Equal(got.Parents, []git.ChangeID{a.ID}) || got.Message != "" {
		t.Fatalf("%+v", got)
	}
	if branches, err := c.ListBranches(t.Context(), c.who, c.name, BranchesQuery{}); err != nil || len(branches.Branches) != 0 {
		t.Fatalf("branches: %+v, %v", branches, err)
	}
	if _, err := c.Commit(t.Context(), c.who, c.name, Revision{Name: a.Commit.String()}); cairn.KindOf(err) != cairn.NotFound {
		t.Fatalf("a hidden commit by its id: %v", err)
	}
	if events, err := c.ListEvents(t.Context(), c.who, c.name, EventsQuery{}); err != nil || len(events.Events) != 0 {
		t.Fatalf("events: %+v, %v", events, err)
	}
	c.point("main", b.ID)
	c.wantHidden()
	page, err := c.ListChanges(t.Context(), c.who, c.name, "", "", 0)
	if err != nil || len(page.Changes) != 2 || page.Changes[0].ID != b.ID || page.Changes[1].ID != a.ID {
		t.Fatalf("%+v, %v", page, err)
	}
	repo := c.export()
	if log := repo.Git("log", "--format=%H", "main"); log != b.Commit.String()+"\n"+a.Commit.String() {
		t.Fatalf("git log: %s", log)
	}
	if raw := repo.Git("cat-file", "commit", a.Commit.String()); !strings.Contains(raw, "\nchange-id "+a.ID.String()+"\n") {
		t.Fatalf("commit: %s", raw)
	}
	// A bookmark that is moved back or deleted leaves its changes where they are.
	c.point("main", a.ID)
	c.wantHidden(b.ID)
	c.point("side", b.ID)
	if err := c.DeleteBookmark(t.Context(), c.who, c.name, "side"); err != nil {
		t.Fatal(err)
	}
	c.wantHidden(b.ID)
	c.detail(b.ID)
	if _, err := write(t, c.Service, c.who, CommitTarget{Branch: "main"}, "y", "y"); err != nil {
		t.Fatal(err)
	}
}

// TestAmendedChangesTakeWhatFollowsAlong: descendants keep their ids and
// bookmarks, all in one write.
func TestAmendedChangesTakeWhatFollowsAlong(t *testing.T) {
	t.Parallel()
	c := newChangeTest(t)
	a := c.change(nobody, "a", file("a", "1\n"), file("same", "1\n2\n3\n4\n5\n6\n7\n"))
	b := c.change(a.ID, "b", file("b", "1\n"), file("same", "1\n2\n3\n4\n5\n6\nb\n"))
	d := c.change(b.ID, "d", file("d", "1\n"))
	e := c.change(a.ID, "e", file("e", "1\n"))
	c.point("main", d.ID)
	before := c.snapshot().Repository().Version
	message := "a, amended"
	c.pass(time.Minute)
	a2 := c.update(a.ID, ChangeUpdate{Message: &message, Files: []ChangeFile{file("a", "2\n"), file("same", "a\n2\n3\n4\n5\n6\n7\n")}, Expected: a.Commit.String()})
	if a2.ID != a.ID || a2.Commit == a.Commit || a2.Message != message || !a2.UpdatedAt.After(a2.CreatedAt) || !a2.CreatedAt.Equal(a.CreatedAt) {
		t.Fatalf("%+v, was %+v", a2, a)
	}
	if now := c.snapshot().Repository().Version; now != before+1 {
		t.Fatalf("%d writes, want 1", now-before)
	}
	c.wantHidden(e.ID)
	for _, id := range []git.ChangeID{b.ID, d.ID, e.ID} {
		got := c.detail(id)
		if got.Conflicted || len(got.Parents) != 1 {
			t.Fatalf("%+v", got)
		}
	}
	repo := c.export()
	if got := repo.Git("show", "main:same") + repo.Git("show", "main:a") + repo.Git("show", "main:d"); got != "a\n2\n3\n4\n5\n6\nb21" {
		t.Fatalf("%q", got)
	}
	log, err := c.ChangeEvolution(t.Context(), c.who, c.name, b.ID)
	if err != nil || len(log) != 2 || log[0].Commit != c.detail(b.ID).Commit || log[1].Commit != b.Commit {
		t.Fatalf("%+v, %v", log, err)
	}
	if _, err := c.UpdateChange(t.Context(), c.who, c.name, a.ID, ChangeUpdate{Expected: a.Commit.String()}); cairn.KindOf(err) != cairn.Conflict {
		t.Fatalf("with the old commit as guard: %v", err)
	}
	// A commit that told no change is amended under its synthetic id.
	plain, err := write(t, c.Service, c.who, CommitTarget{Branch: "main"}, "plain", "1\n")
	if err != nil {
		t.Fatal(err)
	}
	id := git.SyntheticChangeID(plain.Commit)
	if got := c.detail(id); got.Commit != plain.Commit {
		t.Fatalf("%+v", got)
	}
	got := c.update(id, ChangeUpdate{Files: []ChangeFile{file("plain", "2\n")}})
	if log, err := c.ChangeEvolution(t.Context(), c.who, c.name, id); err != nil || len(log) != 2 || log[1].Commit != plain.Commit || got.ID != id {
		t.Fatalf("%+v, %v", log, err)
	}
	c.export()
}

// TestConflictedChanges goes the whole way: a merge that is refused, one that
// is stored with its conflict, its bytes, and both ways of resolving it.
func TestConflictedChanges(t *testing.T) {
	t.Parallel()
	c := newChangeTest(t)
	a := c.change(nobody, "a", file("f", "1\n2\n3\n4\n5\n6\n7\n8\n9\n"), file("gone", "1\n"), file("other", "1\n"))
	b := c.change(a.ID, "b", file("f", "b\n2\n3\n4\n5\n6\n7\n8\nb\n"), ChangeFile{Path: "gone", Delete: true})
	d := c.change(a.ID, "d", file("f", "d\n2\n3\n4\n5\n6\n7\n8\nd\n"), file("gone", "2\n"), file("other", "2\n"))
	c.point("main", b.ID)
	c.point("side", d.ID)
	_, err := c.MergeBookmark(t.Context(), c.who, c.name, BookmarkMerge{Target: "main", Source: "side"})
	var conflict *ConflictError
	if !errors.As(err, &conflict) || !errors.Is(err, cairn.Conflict) || !slices.Equal(conflict.Paths, []string{"f", "gone"}) {
		t.Fatalf("%v", err)
	}
	hunks := conflict.Files[0].Hunks
	if len(hunks) != 2 || string(*hunks[0].Target) != "b\n" || string(*hunks[0].Base) != "1\n" || string(*hunks[0].Source) != "d\n" || hunks[1].OldStart != 9 || hunks[1].OldLines != 1 {
		t.Fatalf("%+v", hunks)
	}
	if len(conflict.Files[1].Hunks) != 0 {
		t.Fatalf("%+v", conflict.Files[1])
	}
	nine := []byte("nine\n")
	resolutions := []Resolution{
		{Path: "gone", Choice: Choice{Take: TakeSource}},
		{Path: "f", Hunks: []HunkResolution{{hunks[0].ID, Choice{Take: TakeSource}}, {hunks[1].ID, Choice{Content: &nine}}}},
	}
	stored, err := c.MergeBookmark(t.Context(), c.who, c.name, BookmarkMerge{Target: "main", Source: "side", AllowConflicts: true})
	if err != nil || !stored.Conflicted || stored.Kind != MergeCommit {
		t.Fatalf("%+v, %v", stored, err)
	}
	got := c.detail(stored.At.ID)
	if !got.Conflicted || !slices.Equal(got.Conflicts, []string{"f", "gone"}) || !slices.Equal(got.Parents, []git.ChangeID{b.ID, d.ID}) {
		t.Fatalf("%+v", got)
	}
	c.wantConflictBytes(stored.At.Commit, b.Commit, d.Commit)
	if settled := c.change(stored.At.ID, "settles one itself", file("gone", "3\n")); !slices.Equal(c.detail(settled.ID).Conflicts, []string{"f"}) {
		t.Fatalf("%+v", c.detail(settled.ID))
	}
	child := c.change(stored.At.ID, "child", file("child", "1\n"))
	if got := c.detail(child.ID); !slices.Equal(got.Conflicts, []string{"f", "gone"}) || !slices.Equal(got.Files, []string{"child"}) {
		t.Fatalf("%+v", got)
	}
	c.point("main", child.ID)
	if _, err := c.UpdateChange(t.Context(), c.who, c.name, stored.At.ID, ChangeUpdate{Files: []ChangeFile{file("f", "x")}}); !errors.As(err, &conflict) || len(conflict.Paths) != 2 {
		t.Fatalf("a conflicted change without resolutions: %v", err)
	}
	c.wantDiff(stored.At.ID, a.ID)
	part := c.update(stored.At.ID, ChangeUpdate{Resolutions: resolutions[:1]})
	if !part.Conflicted || !slices.Equal(c.detail(part.ID).Conflicts, []string{"f"}) {
		t.Fatalf("%+v", part)
	}
	whole := c.update(stored.At.ID, ChangeUpdate{Resolutions: resolutions[1:]})
	if whole.Conflicted {
		t.Fatalf("%+v", whole)
	}
	if got := c.detail(child.ID); got.Conflicted {
		t.Fatalf("the child is still in conflict: %+v", got)
	}
	repo := c.export()
	if got := repo.Git("show", "main:f") + repo.Git("show", "main:gone") + repo.Git("show", "main^:gone"); got != "d\n2\n3\n4\n5\n6\n7\n8\nnine22" {
		t.Fatalf("%q", got)
	}
	// The same merge again with all resolutions needs no permission.
	c.point("main", b.ID)
	merged, err := c.MergeBookmark(t.Context(), c.who, c.name, BookmarkMerge{Target: "main", Source: "side", DeleteSource: true, Resolutions: resolutions})
	if err != nil || merged.Conflicted || !merged.SourceDeleted {
		t.Fatalf("%+v, %v", merged, err)
	}
	resolutions[1].Hunks[0].ID = "h0"
	c.point("main", b.ID)
	c.point("side", d.ID)
	if _, err := c.MergeBookmark(t.Context(), c.who, c.name, BookmarkMerge{Target: "main", Source: "side", Resolutions: resolutions}); cairn.KindOf(err) != cairn.Conflict {
		t.Fatalf("a stale hunk: %v", err)
	}
}

// wantConflictBytes checks how a merge of two commits is stored that is in
// conflict.
func (c *changeTest) wantConflictBytes(id, ours, theirs git.ObjectID) {
	c.t.Helper()
	repo := c.export()
	raw := repo.Git("cat-file", "commit", id.String())
	var trees []string
	for line := range strings.Lines(raw) {
		if list, ok := strings.CutPrefix(line, "jj:trees "); ok {
			trees = strings.Fields(list)
		}
	}
	if len(trees) != 3 || !strings.Contains(raw, "\njj:conflict-labels main\n merge base\n side\n \njj:trees ") {
		c.t.Fatalf("commit:\n%s", raw)
	}
	for name, tree := range map[string]string{".jjconflict-side-0": trees[0], ".jjconflict-base-0": trees[1], ".jjconflict-side-1": trees[2]} {
		if got := repo.RevParse(id.String() + ":" + name); got != tree {
			c.t.Fatalf("%s: %s, want %s", name, got, tree)
		}
	}
	base := repo.Git("merge-base", ours.String(), theirs.String())
	for tree, side := range map[string]string{trees[0]: ours.String(), trees[1]: base, trees[2]: theirs.String()} {
		if got, want := repo.RevParse(tree+":f"), repo.RevParse(side+":f"); got != want {
			c.t.Fatalf("f of %s is %s, want %s", tree, got, want)
		}
		if got := repo.Git("show", tree+":other"); got != "2" {
			c.t.Fatalf("what merged is not the same in all trees: %q", got)
		}
	}
	if got := repo.Git("ls-tree", "--name-only", id.String()); got != ".jjconflict-base-0\n.jjconflict-side-0\n.jjconflict-side-1\nJJ-CONFLICT-README\nf\nother" {
		c.t.Fatalf("%s", got)
	}
}

func (c *changeTest) wantDiff(head, base git.ChangeID) {
	c.t.Helper()
	got, err := c.ChangeDiff(c.t.Context(), c.who, c.name, ChangeDiffQuery{Base: base, Head: head})
	if err != nil || len(got.Files) != 1 || got.Files[0].Path != "other" || len(got.Conflicted) != 2 || len(got.Conflicted[0].Hunks) != 2 {
		c.t.Fatalf("%+v, %v", got, err)
	}
	if got.Additions != 1 || got.Deletions != 1 || len(got.Files[0].Hunks) != 1 || got.Files[0].Status != diff.Modified {
		c.t.Fatalf("%+v", got.Files)
	}
	for _, want := range []string{"+<<<<<<< conflict 1 of 2\n++++++++ side #1\n+b\n+------- base\n 1\n++++++++ side #2\n+d\n+>>>>>>> conflict 1 of 2 ends\n", "-1\n+2\n"} {
		if !strings.Contains(string(got.Patch), want) {
			c.t.Fatalf("no %q in\n%s", want, got.Patch)
		}
	}
	for filter, want := range map[ConflictFilter][2]int{OnlyConflicts: {0, 2}, NoConflicts: {1, 0}} {
		got, err := c.ChangeDiff(c.t.Context(), c.who, c.name, ChangeDiffQuery{Base: base, Head: head, Conflicts: filter})
		if err != nil || [2]int{len(got.Files), len(got.Conflicted)} != want {
			c.t.Fatalf("%s: %+v, %v", filter, got, err)
		}
	}
}

// TestGeneratedChanges makes, amends, points, merges and pushes at random, and
// compares with a model: a change has what its parents have, and its own file.
func TestGeneratedChanges(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			m := &changeModel{changeTest: newChangeTest(t), r: rand.New(rand.NewPCG(seed, 7)), changes: map[git.ChangeID]*modelChange{}, marks: map[string]git.ChangeID{}}
			for range 60 {
				m.step()
			}
			m.compare()
		})
	}
}

type modelChange struct {
	parents []git.ChangeID
	path    string // empty for a merge
	content string
}

type changeModel struct {
	*changeTest
	r       *rand.Rand
	order   []git.ChangeID
	changes map[git.ChangeID]*modelChange
	marks   map[string]git.ChangeID
}

func (m *changeModel) pick() git.ChangeID {
	if len(m.order) == 0 || m.r.IntN(12) == 0 {
		return nobody
	}
	return m.order[m.r.IntN(len(m.order))]
}

func (m *changeModel) add(id git.ChangeID, c modelChange) {
	m.changes[id] = &c
	m.order = append(m.order, id)
}

func (m *changeModel) step() {
	content := fmt.Sprintln(m.r.Uint32())
	switch n := m.r.IntN(10); {
	case n < 4:
		base := m.pick()
		path := fmt.Sprintf("d%d/f%d", m.r.IntN(3), len(m.order))
		c := m.change(base, content, file(path, content))
		m.add(c.ID, modelChange{[]git.ChangeID{base}, path, content})
	case n < 6:
		id := m.pick()
		if c := m.changes[id]; c != nil && c.path != "" {
			c.content = content
			m.update(id, ChangeUpdate{Files: []ChangeFile{file(c.path, content)}})
		}
	case n < 8:
		if id := m.pick(); id != nobody {
			name := fmt.Sprintf("b%d", m.r.IntN(3))
			m.point(name, id)
			m.marks[name] = id
		}
	case n < 9:
		m.merge("b0", "b1")
	default:
		m.push(content)
	}
}

// push commits through another face.
func (m *changeModel) push(content string) {
	tip, ok := m.marks["b2"]
	if !ok {
		return
	}
	path := fmt.Sprintf("p%d", len(m.order))
	made, err := write(m.t, m.Service, m.who, CommitTarget{Branch: "b2"}, path, content)
	if err != nil {
		m.t.Fatal(err)
	}
	id := git.SyntheticChangeID(made.Commit)
	m.add(id, modelChange{[]git.ChangeID{tip}, path, content})
	m.marks["b2"] = id
}

func (m *changeModel) merge(target, source string) {
	to, ok1 := m.marks[target]
	from, ok2 := m.marks[source]
	if !ok1 || !ok2 {
		return
	}
	done, err := m.MergeBookmark(m.t.Context(), m.who, m.name, BookmarkMerge{Target: target, Source: source})
	if err != nil {
		m.t.Fatal(err)
	}
	if m.ancestors(to)[from] != (done.Kind == NoOp) {
		m.t.Fatalf("merge: %+v", done)
	}
	if done.Kind == MergeCommit {
		m.add(done.At.ID, modelChange{parents: []git.ChangeID{to, from}})
		m.marks[target] = done.At.ID
	}
}

func (m *changeModel) ancestors(id git.ChangeID) map[git.ChangeID]bool {
	all := map[git.ChangeID]bool{id: true}
	if c := m.changes[id]; c != nil {
		for _, p := range c.parents {
			maps.Copy(all, m.ancestors(p))
		}
	}
	return all
}

// compare reads all changes and bookmarks and has git look at the files.
func (m *changeModel) compare() {
	m.t.Helper()
	repo := m.export()
	for _, id := range m.order {
		want := []string{}
		for a := range m.ancestors(id) {
			if c := m.changes[a]; c != nil && c.path != "" {
				want = append(want, c.path+" "+c.content)
			}
		}
		slices.Sort(want)
		got := m.detail(id)
		if got.Conflicted || !slices.Equal(got.Parents, m.changes[id].parents) {
			m.t.Fatalf("%s: %+v, want parents %s", id, got, m.changes[id].parents)
		}
		have := []string{}
		for path := range strings.FieldsSeq(repo.Git("ls-tree", "-r", "--name-only", got.Commit.String())) {
			have = append(have, path+" "+repo.Git("show", got.Commit.String()+":"+path)+"\n")
		}
		slices.Sort(have)
		if !slices.Equal(have, want) {
			m.t.Fatalf("%s: files %q, want %q", id, have, want)
		}
	}
	for name, want := range m.marks {
		b, err := m.Bookmark(m.t.Context(), m.who, m.name, name)
		if err != nil || b.Change.ID != want {
			m.t.Fatalf("%s: %+v, %v, want %s", name, b, err, want)
		}
	}
}
