package service

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/gittest"
	"github.com/cairn-storage/cairn/internal/odb"
)

// told writes a commit with these headers, as jj does.
func told(repo *gittest.Repo, tree, parent, headers, message string, date int) git.ObjectID {
	text := "tree " + tree + "\n"
	if parent != "" {
		text += "parent " + parent + "\n"
	}
	text += fmt.Sprintf("author A <a@x> 1700000000 +0000\ncommitter A <a@x> %d +0000\n%s\n%s\n", date, headers, message)
	return git.MustParseObjectID(repo.Write("commit", []byte(text)))
}

// TestPushedCommitsBecomeChanges: what plain Git brings is found by its header,
// or by the synthetic rule; a forced push makes a change evolve; of two commits
// of one change the last that came counts.
func TestPushedCommitsBecomeChanges(t *testing.T) {
	t.Parallel()
	c := newChangeTest(t)
	repo := gittest.Init(t)
	first := repo.Commit("main", "plain", gittest.Files{"a": "1"})
	tree := repo.RevParse("main^{tree}")
	id, _ := git.ParseChangeID("lkonztmnvsxytrwkxpvuutrmompwylqq")
	header := "change-id " + id.String() + "\n"
	main := git.RefName("refs/heads/main")
	one := told(repo, tree, first, header, "one", 1700000100)
	c.loadRefs(t, c.row, repo, cairn.RefUpdate{Name: main, New: one})
	if got := c.detail(id); got.Commit != one || got.Parents[0] != git.SyntheticChangeID(git.MustParseObjectID(first)) {
		t.Fatalf("%+v", got)
	}
	if got := c.detail(git.SyntheticChangeID(git.MustParseObjectID(first))); got.Commit.String() != first || got.Message != "plain" {
		t.Fatalf("%+v", got)
	}
	c.noDetail(git.SyntheticChangeID(one)) // it tells another
	two := told(repo, tree, first, header, "two", 1700000200)
	three := told(repo, tree, first, header, "three", 1700000300)
	c.loadRefs(t, c.row, repo, cairn.RefUpdate{Name: main, Old: one, New: two})
	c.loadRefs(t, c.row, repo, cairn.RefUpdate{Name: main, Old: two, New: three})
	if got := c.detail(id); got.Commit != three {
		t.Fatalf("%+v", got)
	}
	log, err := c.ChangeEvolution(t.Context(), c.who, c.name, id)
	if err != nil || len(log) != 3 || log[0].Commit != three || log[1].Commit != two || log[2].Commit != one {
		t.Fatalf("evolution %+v, %v", log, err)
	}
	// Divergent: both are there, the last that came is the present one.
	c.loadRefs(t, c.row, repo, cairn.RefUpdate{Name: "refs/heads/old", New: one})
	if got := c.detail(id); got.Commit != one {
		t.Fatalf("%+v", got)
	}
	// Amending one leaves the other where it is.
	message := "amended"
	amended := c.update(id, ChangeUpdate{Message: &message})
	refs := c.refs(t, c.row)
	if refs["refs/heads/old"] != amended.Commit || refs[main] != three {
		t.Fatalf("%v", refs)
	}
	malformed := told(repo, tree, first, "change-id nonsense\n"+header, "malformed", 1700000400)
	c.loadRefs(t, c.row, repo, cairn.RefUpdate{Name: "refs/heads/bad", New: malformed})
	if got := c.detail(git.SyntheticChangeID(malformed)); got.Commit != malformed {
		t.Fatalf("%+v", got)
	}
	if got := c.detail(id); got.Commit != amended.Commit {
		t.Fatalf("%+v", got)
	}
	// Refs that a repack dropped the objects of, or that name no commit, do not
	// stand in the way; nor does another process that has noted nothing.
	other := New(Options{Store: c.store, Now: c.clock})
	if got, err := other.Change(t.Context(), c.who, c.name, id); err != nil || got.Commit != amended.Commit {
		t.Fatalf("%+v, %v", got, err)
	}
}

// TestHistoriesAreNotedOnce: a question about changes reads only what came since
// the last one, and a plain history stores nothing of any commit.
func TestHistoriesAreNotedOnce(t *testing.T) {
	t.Parallel()
	c := newChangeTest(t)
	ids := c.line(t, c.row, noteAfter+10)
	c.detail(git.SyntheticChangeID(ids[5]))
	var noted int64
	err := c.metadata.View(t.Context(), func(tx cairn.Tx) (err error) {
		noted, err = tx.Changes().Noted(c.row.RepositoryKey)
		return err
	})
	if version := c.snapshot().Repository().Version; err != nil || noted != version {
		t.Fatalf("noted up to %d, the version is %d: %v", noted, version, err)
	}
	if _, err := write(t, c.Service, c.who, CommitTarget{Branch: "main"}, "x", "x"); err != nil {
		t.Fatal(err)
	}
	s, err := c.openChanges(t.Context(), c.who, c.name, cairn.GitRead)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	include, exclude, err := s.tipsSince(t.Context(), noted)
	if err != nil || len(include) == 0 || len(exclude) == 0 {
		t.Fatalf("%v, %v, %v", include, exclude, err)
	}
	for _, id := range include {
		if id == ids[0] {
			t.Error("what was noted is looked at again")
		}
	}
}

// TestConflictHeadersShowNothingElse: a pushed commit may say of itself that it
// is a conflict of any trees. Those that are not its own are not read.
func TestConflictHeadersShowNothingElse(t *testing.T) {
	t.Parallel()
	c := newChangeTest(t)
	secret := c.change(nobody, "secret", file("secret", "s\n"))
	tree := c.export().RevParse(secret.Commit.String() + "^{tree}")
	repo := gittest.Init(t)
	own := repo.RevParse(repo.Commit("main", "m", gittest.Files{"a": "1"}) + "^{tree}")
	forged := told(repo, own, "", "jj:trees "+strings.Join([]string{tree, own, own}, " ")+"\n", "forged", 1700000000)
	c.loadRefs(t, c.row, repo, cairn.RefUpdate{Name: "refs/heads/main", New: forged})
	got := c.detail(git.SyntheticChangeID(forged))
	if got.Conflicted || len(got.Files) != 1 || got.Files[0] != "a" {
		t.Fatalf("%+v", got)
	}
	d, err := c.ChangeDiff(t.Context(), c.who, c.name, ChangeDiffQuery{Head: got.ID})
	if err != nil || strings.Contains(string(d.Patch), "secret") {
		t.Fatalf("%s, %v", d.Patch, err)
	}
}

// TestChangesOfManyWriters has two nodes write to one repository at once.
func TestChangesOfManyWriters(t *testing.T) {
	t.Parallel()
	c := newChangeTest(t)
	base := c.change(nobody, "base", file("base", "1\n"))
	c.point("main", base.ID)
	var wg sync.WaitGroup
	made := make([]Change, 8)
	for i := range made {
		wg.Add(1)
		go func() {
			defer wg.Done()
			s := New(Options{Store: c.store, Now: c.clock})
			n := NewChange{Base: base.ID, Files: []ChangeFile{file(fmt.Sprint(i), "1\n")}}
			var err error
			if made[i], err = s.CreateChange(t.Context(), c.who, c.name, n); err != nil {
				t.Error(err)
				return
			}
			if _, err = s.UpdateChange(t.Context(), c.who, c.name, base.ID, ChangeUpdate{Files: []ChangeFile{file(fmt.Sprintf("base%d", i), "1\n")}}); err != nil {
				t.Error(err)
			}
			if i%2 == 0 {
				return
			}
			name := fmt.Sprint("topic", i)
			if _, err = s.CreateBookmark(t.Context(), c.who, c.name, name, made[i].ID); err != nil {
				t.Error(err)
			}
			if _, err = s.MergeBookmark(t.Context(), c.who, c.name, BookmarkMerge{Target: "main", Source: name}); err != nil {
				t.Error(err)
			}
		}()
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	repo := c.export()
	for i, change := range made {
		got := c.detail(change.ID)
		files := strings.Fields(repo.Git("ls-tree", "-r", "--name-only", got.Commit.String()))
		if len(files) != len(made)+2 || got.Parents[0] != base.ID {
			t.Errorf("change %d has %q on %s", i, files, got.Parents[0])
		}
	}
	commits := map[string]string{}
	for line := range strings.Lines(repo.Git("log", "--all", "--format=raw")) {
		if id, ok := strings.CutPrefix(line, "change-id "); ok && commits[id] != "" {
			t.Errorf("change %s has several commits", id)
		} else if ok {
			commits[id] = line
		}
	}
	if len(commits) != 1+len(made)+len(made)/2 {
		t.Errorf("%d changes", len(commits))
	}
}

// TestWriteOnAnOlderState: a write whose state is from before another write finds
// out when it asks for the change that this one gave another commit.
func TestWriteOnAnOlderState(t *testing.T) {
	t.Parallel()
	c := newChangeTest(t)
	base := c.change(nobody, "base", file("base", "1\n"))
	state, err := c.openChanges(t.Context(), c.who, c.name, cairn.GitWrite)
	if err != nil {
		t.Fatal(err)
	}
	defer state.Close()
	message := "other words"
	if _, err := c.UpdateChange(t.Context(), c.who, c.name, base.ID, ChangeUpdate{Message: &message}); err != nil {
		t.Fatal(err)
	}
	d := state.draft(c.who)
	defer d.close()
	var conflict *cairn.RefConflict
	if _, err := d.find(t.Context(), base.ID); !errors.As(err, &conflict) {
		t.Errorf("the commit of an older state is found: %v", err)
	}
}

// TestAmendmentsAreBounded refuses to make more commits again than the limit.
func TestAmendmentsAreBounded(t *testing.T) {
	t.Parallel()
	c := newChangeTest(t)
	ids := c.line(t, c.row, maxDescendants+2)
	root := git.SyntheticChangeID(ids[len(ids)-1])
	if len(c.chain(t, c.row, "refs/heads/main")) != maxDescendants+2 {
		t.Fatal("another history than this test is about")
	}
	if got := c.detail(root); got.Parents[0] != nobody {
		root = git.SyntheticChangeID(ids[0])
	}
	message := "m"
	_, err := c.UpdateChange(t.Context(), c.who, c.name, root, ChangeUpdate{Message: &message})
	if cairn.KindOf(err) != cairn.TooLarge {
		t.Fatalf("%v", err)
	}
}

// TestChangesOfDeniedWriters: a right to read is none to write, and a ref policy
// holds for bookmarks that move along too.
func TestChangesOfDeniedWriters(t *testing.T) {
	t.Parallel()
	c := newChangeTest(t)
	a := c.change(nobody, "a", file("a", "1\n"))
	c.point("main", a.ID)
	reader := c.actor(t, "acme", "r", cairn.GitRead)
	bound := c.actor(t, "acme", "r", cairn.GitRead, cairn.GitWrite)
	bound.Policy = cairn.RefPolicy{{Pattern: "refs/heads/main", Ops: []cairn.RefOp{cairn.NoForcePush}}}
	message := "x"
	for _, err := range []error{
		second(c.CreateChange(t.Context(), reader, "r", NewChange{})),
		second(c.UpdateChange(t.Context(), reader, "r", a.ID, ChangeUpdate{Message: &message})),
		second(c.UpdateChange(t.Context(), bound, "r", a.ID, ChangeUpdate{Message: &message})),
		second(c.CreateBookmark(t.Context(), reader, "r", "b", a.ID)),
		second(c.MergeBookmark(t.Context(), reader, "r", BookmarkMerge{Target: "main", Source: "main"})),
		c.DeleteBookmark(t.Context(), reader, "r", "main"),
	} {
		if !errors.Is(err, cairn.Denied) {
			t.Errorf("%v, want denied", err)
		}
	}
	if got := c.detail(a.ID); got.Commit != a.Commit {
		t.Errorf("%+v", got)
	}
	if _, ok := c.snapshot().Ref(odb.ChangeRef(a.ID)); ok {
		t.Error("a hidden ref was left")
	}
}

func second[T any](_ T, err error) error { return err }

// TestRepacksKeepHiddenChanges: what only a hidden ref leads to outlives a full
// repack, and is cloned by nobody.
func TestRepacksKeepHiddenChanges(t *testing.T) {
	t.Parallel()
	c := newChangeTest(t)
	c.line(t, c.row, 20)
	hidden := c.change(nobody, "hidden", file("h", "1\n"))
	over := c.change(hidden.ID, "over", file("o", "1\n"))
	c.repack(t, c.row)
	for _, want := range []Change{hidden, over} {
		if got := c.detail(want.ID); got.Commit != want.Commit || len(got.Files) != 1 {
			t.Errorf("%+v, want %+v", got, want)
		}
		if ok, err := c.snapshot().Reachable(t.Context(), odb.FullView, want.Commit); ok || err != nil {
			t.Errorf("shown to others: %v, %v", ok, err)
		}
	}
	c.update(hidden.ID, ChangeUpdate{Files: []ChangeFile{file("h", "2\n")}})
	if got := c.detail(over.ID); got.Commit == over.Commit {
		t.Error("what follows did not come along")
	}
}
