package service

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/gittest"
	"github.com/cairn-storage/cairn/internal/odb"
)

// entryOf is a file of a commit.
func entryOf(t testing.TB, sn *odb.Snapshot, commit git.ObjectID, path string) FileEntry {
	t.Helper()
	e, err := lookup(t.Context(), sn, commit, path)
	if err != nil {
		t.Fatal(err)
	}
	return FileEntry{path, e.Mode, e.ID}
}

// lastChangesOf is what git log -1 says of each file of a revision.
func lastChangesOf(r *gittest.Repo, revision string) map[string]string {
	last := map[string]string{}
	for path := range strings.SplitSeq(strings.TrimSuffix(r.Git("ls-tree", "-r", "-z", "--name-only", revision), "\x00"), "\x00") {
		last[path] = strings.TrimSpace(r.Git("--literal-pathspecs", "log", "-1", "--format=%H", revision, "--", path))
	}
	return last
}

// wantLastChanges compares the last changes of all files of a commit. What is
// known from before is forgotten first.
func (f *tenants) wantLastChanges(t *testing.T, who cairn.Actor, name cairn.RepositoryName, commit string, want map[string]string) {
	t.Helper()
	f.changes, f.metadataPages = changeCache{}, metadataCache{}
	q := MetadataQuery{Revision: Revision{Name: commit}, Limit: 7}
	listed := 0
	for {
		page, err := f.FilesMetadata(t.Context(), who, name, q)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range page.Files {
			if got := file.LastCommit.String(); got != want[file.Path] {
				t.Errorf("%s: last change of %q is %s, want %s", commit, file.Path, got, want[file.Path])
			}
			if page.Commits[file.LastCommit].ID != file.LastCommit {
				t.Errorf("commit %s is not told", file.LastCommit)
			}
		}
		listed += len(page.Files)
		if q.Cursor = page.Next; page.Next == "" {
			break
		}
	}
	if listed != len(want) {
		t.Errorf("%s: %d files are listed, want %d", commit, listed, len(want))
	}
}

// TestLastChangesAreGitLogs compares with stock git over histories with merges,
// renames, deletions and files that come again: without filters, with those of
// a part of the commits and with those of all.
func TestLastChangesAreGitLogs(t *testing.T) {
	t.Parallel()
	for seed := range uint64(2) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			f := newTenants(t)
			repo := f.create(t, "acme", "r")
			who := f.actor(t, "acme", "r", cairn.GitRead)
			r := gittest.Random(t, seed, gittest.Options{Skew: seed%2 == 1, Commits: 150, Branches: 4})
			commits := strings.Fields(r.Git("rev-list", "main"))
			tip, middle := commits[0], commits[len(commits)/2]
			ofTip, ofMiddle := lastChangesOf(r, tip), lastChangesOf(r, middle)
			f.loadRefs(t, repo, r, cairn.RefUpdate{Name: "refs/heads/main", New: git.MustParseObjectID(middle)})
			f.wantLastChanges(t, who, "r", middle, ofMiddle)
			f.repack(t, repo)
			f.loadRefs(t, repo, r, cairn.RefUpdate{Name: "refs/heads/main", Old: git.MustParseObjectID(middle), New: git.MustParseObjectID(tip)})
			f.wantLastChanges(t, who, "r", tip, ofTip)
			f.repack(t, repo)
			f.wantLastChanges(t, who, "r", tip, ofTip)
			f.wantLastChanges(t, who, "r", middle, ofMiddle)
		})
	}
}

func (f *tenants) repack(t *testing.T, repo cairn.Repository) {
	t.Helper()
	if _, err := f.store.Repack(t.Context(), repo.RepositoryKey, nil); err != nil {
		t.Fatal(err)
	}
	sn, err := f.store.SnapshotOf(t.Context(), repo.RepositoryKey)
	if err != nil {
		t.Fatal(err)
	}
	defer sn.Close()
	if numbers, err := sn.Generations(t.Context()); err != nil || numbers == nil {
		t.Fatalf("no commit-graph after a repack: %v", err)
	}
}

// TestLastChangeOfAMergeBomb: a ladder of merges has a line of descent for each
// of 2^n ways down. Each rung is looked at once.
func TestLastChangeOfAMergeBomb(t *testing.T) {
	t.Parallel()
	f := newTenants(t)
	repo := f.create(t, "acme", "r")
	r := gittest.Init(t)
	const rungs = 1000
	var in strings.Builder
	mark := 0
	commit := func(branch string, parents []int, files map[string]string) int {
		mark++
		fmt.Fprintf(&in, "commit refs/heads/%s\nmark :%d\ncommitter A <a@example.com> %d +0000\ndata 1\nm\n", branch, mark, 1_700_000_000-mark)
		for i, p := range parents {
			fmt.Fprintf(&in, "%s :%d\n", []string{"from", "merge"}[min(i, 1)], p)
		}
		for path, content := range files {
			fmt.Fprintf(&in, "M 100644 inline %s\ndata %d\n%s\n", path, len(content), content)
		}
		return mark
	}
	left := commit("main", nil, map[string]string{"a": "x", "d/b": "x", "c": "x"})
	right := commit("side", nil, map[string]string{"a": "x", "d/b": "y", "c": "x"})
	for i := range rungs {
		content := fmt.Sprint(i)
		left, right = commit("main", []int{left, right}, map[string]string{"l": content, "a": "x", "d/b": "x"}),
			commit("side", []int{right, left}, map[string]string{"l": content, "a": "x", "d/b": "y"})
	}
	r.GitInput(in.String(), "fast-import", "--quiet", "--date-format=raw")
	f.load(t, repo, r)
	who := f.actor(t, "acme", "r", cairn.GitRead)
	began := time.Now()
	f.wantLastChanges(t, who, "r", r.RevParse("main"), lastChangesOf(r, "main"))
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("took %s", took)
	}
}

// TestLastChangesFollowCommits makes commits of all kinds on two branches and
// compares what is known of their tips with what the history says.
func TestLastChangesFollowCommits(t *testing.T) {
	t.Parallel()
	f := newTenants(t)
	f.create(t, "acme", "r")
	who := f.actor(t, "acme", "r", cairn.GitRead, cairn.GitWrite)
	if _, err := write(t, f.Service, who, CommitTarget{Branch: "main"}, "first", "first"); err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(7, 7))
	paths := []string{"a", "a/b", "a/c", "a/c/d", "e", "f/g", "f/h"}
	for range 300 {
		target := CommitTarget{Branch: []string{"main", "side"}[random.IntN(2)], Base: "main"}
		var files []FileChange
		contents := map[string]string{}
		for range 1 + random.IntN(3) {
			c := FileChange{Path: paths[random.IntN(len(paths))], Delete: random.IntN(3) == 0}
			if !c.Delete {
				c.ContentID = fmt.Sprint(random.IntN(2))
				contents[c.ContentID] = c.ContentID
			}
			files = append(files, c)
		}
		// Some cannot be made: what they delete is not there.
		_, _ = writeFiles(t, f.Service, who, target, files, contents)
	}
	for _, branch := range []string{"main", "side"} {
		ask := func() map[string]git.ObjectID {
			page, err := f.FilesMetadata(t.Context(), who, "r", MetadataQuery{Revision: Revision{Name: branch}})
			if err != nil {
				t.Fatal(err)
			}
			last := map[string]git.ObjectID{}
			for _, file := range page.Files {
				last[file.Path] = file.LastCommit
			}
			return last
		}
		sn, err := f.open(t.Context(), who, "r", cairn.GitRead)
		if err != nil {
			t.Fatal(err)
		}
		ref, _ := sn.Ref(git.RefName(git.BranchPrefix + branch))
		sn.Close()
		set, _ := f.changes.known.get(ref.Target)
		if set == nil || len(set.last) < 3 {
			t.Errorf("%s: little is known: %v", branch, set)
		}
		kept := f.changes.known
		known := ask()
		f.changes.known, f.metadataPages.pages = boundedMap[git.ObjectID, *changeSet]{}, boundedMap[string, MetadataPage]{}
		if want := ask(); len(want) < 2 || !maps.Equal(known, want) {
			t.Errorf("%s: got %v, want %v", branch, known, want)
		}
		f.changes.known = kept
	}
}

// writeFiles commits files whose contents are given by their ids.
func writeFiles(t *testing.T, s *Service, who cairn.Actor, target CommitTarget, files []FileChange, contents map[string]string) (CommitResult, error) {
	t.Helper()
	w, err := s.BeginCommit(t.Context(), who, "r", CommitRequest{CommitTarget: target, CommitInfo: CommitInfo{Message: "m", Author: Identity{Name: "A", Email: "a@example.com"}}, Files: files})
	if err != nil {
		return CommitResult{}, err
	}
	defer w.Close()
	for id, content := range contents {
		if err := w.AddChunk(t.Context(), id, []byte(content), true); err != nil {
			return CommitResult{}, err
		}
	}
	return w.Commit(t.Context())
}
