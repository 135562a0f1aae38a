package upstream

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/git/protocol"
	"github.com/cairn-storage/cairn/internal/gittest"
)

// host makes a bare repository "team/app.git" on a stock server.
func host(t *testing.T) (*gittest.HTTPServer, *gittest.Repo) {
	t.Helper()
	s := gittest.ServeHTTP(t, t.TempDir())
	return s, s.Host(t, "team/app")
}

func remote(s *gittest.HTTPServer) Remote {
	return Remote{URL: s.URL + "/team/app.git", Username: s.Username, Password: s.Password}
}

// versions runs a test against a server that speaks version 2 and one that does
// not.
func versions(t *testing.T, test func(t *testing.T, s *gittest.HTTPServer, repo *gittest.Repo)) {
	t.Parallel()
	for _, old := range []bool{false, true} {
		t.Run(fmt.Sprintf("old %v", old), func(t *testing.T) {
			t.Parallel()
			s, repo := host(t)
			s.OldProtocol = old
			test(t, s, repo)
		})
	}
}

// refsOf makes a list of refs comparable with Repo.Refs; HEAD is left out.
func refsOf(s *Session) map[string]string {
	refs := map[string]string{}
	for _, r := range s.Refs {
		if r.Name != git.HEAD {
			refs[string(r.Name)] = r.ID.String()
		}
	}
	return refs
}

func fillMany(repo *gittest.Repo) {
	for i := range 5 {
		repo.Commit("main", fmt.Sprintf("commit %d", i), gittest.Files{"file": strings.Repeat(fmt.Sprintln(i), 400), "other": fmt.Sprint(i)})
	}
	var in strings.Builder
	for i := range 60 {
		fmt.Fprintf(&in, "create refs/heads/branch/%d %s\n", i, repo.RevParse("main~2"))
		fmt.Fprintf(&in, "create refs/tags/light-%d %s\n", i, repo.RevParse("main~1"))
	}
	fmt.Fprintf(&in, "create refs/notes/commits %s\n", repo.RevParse("main"))
	fmt.Fprintf(&in, "create refs/pull/1/head %s\n", repo.RevParse("main"))
	repo.GitInput(in.String(), "update-ref", "--stdin")
	repo.Git("tag", "-m", "annotated", "v1", "main")
	repo.Git("tag", "-m", "of a tag", "v2", "v1")
}

func TestListsBranchesAndTags(t *testing.T) {
	versions(t, func(t *testing.T, s *gittest.HTTPServer, repo *gittest.Repo) {
		fillMany(repo)
		session, err := New(http.DefaultClient, Options{}).OpenFetch(t.Context(), remote(s))
		if err != nil {
			t.Fatal(err)
		}
		want := repo.Refs()
		delete(want, "refs/notes/commits")
		delete(want, "refs/pull/1/head")
		got := refsOf(session)
		if len(got) != len(want) {
			t.Errorf("got %d refs, want %d", len(got), len(want))
		}
		for name, id := range want {
			if got[name] != id {
				t.Errorf("%s: got %q, want %q", name, got[name], id)
			}
		}
		if head := session.Refs[0]; head.Name != git.HEAD || head.SymrefTarget != "refs/heads/main" || head.ID.String() != want["refs/heads/main"] {
			t.Errorf("HEAD is %+v", head)
		}
	})
}

func TestListsAnEmptyRepository(t *testing.T) {
	versions(t, func(t *testing.T, s *gittest.HTTPServer, repo *gittest.Repo) {
		repo.Git("symbolic-ref", "HEAD", "refs/heads/trunk")
		session, err := New(http.DefaultClient, Options{}).OpenFetch(t.Context(), remote(s))
		if err != nil {
			t.Fatal(err)
		}
		if got := refsOf(session); len(got) != 0 {
			t.Errorf("refs of an empty repository: %v", got)
		}
		if !s.OldProtocol && (len(session.Refs) != 1 || session.Refs[0].SymrefTarget != "refs/heads/trunk") {
			t.Errorf("HEAD of an empty repository: %+v", session.Refs)
		}
	})
}

// fetchInto fetches into a stock repository and returns the size of the pack.
func fetchInto(t *testing.T, s *gittest.HTTPServer, into *gittest.Repo, haves []git.ObjectID) int {
	t.Helper()
	session, err := New(http.DefaultClient, Options{}).OpenFetch(t.Context(), remote(s))
	if err != nil {
		t.Fatal(err)
	}
	var wants []git.ObjectID
	for _, r := range session.Refs {
		wants = append(wants, r.ID)
	}
	var pack bytes.Buffer
	err = session.Fetch(t.Context(), wants, haves, func(r io.Reader) error {
		_, err := pack.ReadFrom(r)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	into.GitInput(pack.String(), "index-pack", "--fix-thin", "--stdin", "--strict")
	for name, id := range refsOf(session) {
		into.Git("update-ref", name, id)
	}
	gittest.Fsck(t, into.Dir)
	return pack.Len()
}

func TestFetchesAllThenWhatIsNew(t *testing.T) {
	versions(t, func(t *testing.T, s *gittest.HTTPServer, repo *gittest.Repo) {
		s.Username, s.Password = "git", "sesame"
		fillMany(repo)
		large := strings.Repeat(fmt.Sprintln("a line that does not change"), 2000)
		for i := range 200 {
			large += fmt.Sprintln(i * i * 7919)
		}
		repo.Commit("main", "large", gittest.Files{"large": large})
		into := gittest.Init(t, gittest.Bare())
		all := fetchInto(t, s, into, nil)
		tip, err := git.ParseObjectID(repo.RevParse("main"))
		if err != nil {
			t.Fatal(err)
		}
		repo.Commit("main", "small change", gittest.Files{"large": large + "one line more\n"})
		unknown, err := git.ParseObjectID(strings.Repeat("ab", 20))
		if err != nil {
			t.Fatal(err)
		}
		more := fetchInto(t, s, into, []git.ObjectID{unknown, tip})
		if more > all/2 {
			t.Errorf("the second fetch has %d bytes, the first had %d", more, all)
		}
	})
}

func TestPushes(t *testing.T) {
	t.Parallel()
	s, repo := host(t)
	s.Username, s.Password = "git", "sesame"
	first := repo.Commit("main", "first", gittest.Files{"a": "1\n"})
	repo.Git("branch", "old", "main")
	local := gittest.Clone(t, repo.Dir)
	second := local.Commit("main", "second", gittest.Files{"a": "2\n", "large": strings.Repeat("0123456789abcdef", 200_000)})
	client := New(http.DefaultClient, Options{})
	push := func(updates ...protocol.RefUpdate) protocol.PushReport {
		t.Helper()
		session, err := client.OpenPush(t.Context(), remote(s))
		if err != nil {
			t.Fatal(err)
		}
		if !session.IsAtomic() {
			t.Error("stock git can push atomically")
		}
		report, err := session.Push(t.Context(), updates, true, func(w io.Writer) error {
			cmd := gittest.Command(t, local.Dir, "pack-objects", "--revs", "--stdout", "-q", "--compression=0")
			cmd.Stdin = strings.NewReader(second + "\n^" + first + "\n")
			cmd.Stdout = w
			return cmd.Run()
		})
		if err != nil {
			t.Fatal(err)
		}
		return report
	}
	from, to := id(t, first), id(t, second)
	report := push(protocol.RefUpdate{Name: "refs/heads/main", Old: from, New: to},
		protocol.RefUpdate{Name: "refs/heads/new", New: to}, protocol.RefUpdate{Name: "refs/heads/old", Old: from})
	for _, r := range report.Results {
		if r.Reason != "" {
			t.Errorf("%s: %s", r.Name, r.Reason)
		}
	}
	refs := repo.Refs()
	if len(report.Results) != 3 || report.Unpack != "" || refs["refs/heads/main"] != second || refs["refs/heads/new"] != second || refs["refs/heads/old"] != "" {
		t.Errorf("after the push: %v, %+v", refs, report)
	}
	gittest.Fsck(t, repo.Dir)
	// Where the server is elsewhere, it says so and all stays.
	report = push(protocol.RefUpdate{Name: "refs/heads/main", Old: from, New: to}, protocol.RefUpdate{Name: "refs/heads/more", New: to})
	if len(report.Results) != 2 || report.Results[0].Reason == "" || report.Results[1].Reason == "" {
		t.Errorf("a push from a wrong value: %+v", report)
	}
	report = push(protocol.RefUpdate{Name: "refs/heads/new", Old: to})
	if len(report.Results) != 1 || report.Results[0].Reason != "" || repo.Refs()["refs/heads/new"] != "" {
		t.Errorf("a deletion: %+v", report)
	}
}

func TestHookWordsComeBack(t *testing.T) {
	t.Parallel()
	s, repo := host(t)
	first := repo.Commit("main", "first", gittest.Files{"a": "1\n"})
	hook := "#!/bin/sh\necho 'GH006: Protected branch update failed' >&2\nexit 1\n"
	if err := os.MkdirAll(filepath.Join(repo.Dir, "hooks"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(repo.Dir, "hooks", "pre-receive"), []byte(hook), 0o700); err != nil {
		t.Fatal(err)
	}
	session, err := New(http.DefaultClient, Options{}).OpenPush(t.Context(), remote(s))
	if err != nil {
		t.Fatal(err)
	}
	report, err := session.Push(t.Context(), []protocol.RefUpdate{{Name: "refs/heads/main", Old: id(t, first)}}, true, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(report.Messages, "GH006: Protected branch update failed") || len(report.Results) != 1 || report.Results[0].Reason != "pre-receive hook declined" {
		t.Errorf("got %+v", report)
	}
}

func TestPushFailsAsItsPackDoes(t *testing.T) {
	t.Parallel()
	s, repo := host(t)
	first := id(t, repo.Commit("main", "first", gittest.Files{"a": "1\n"}))
	session, err := New(http.DefaultClient, Options{}).OpenPush(t.Context(), remote(s))
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	_, err = session.Push(t.Context(), []protocol.RefUpdate{{Name: "refs/heads/new", New: first}}, true, func(w io.Writer) error {
		_, _ = w.Write(make([]byte, 3<<20))
		return broken
	})
	if !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

// gittestFiles are the files of a commit that are of no interest.
var gittestFiles = gittest.Files{"a": "1\n"}

func id(t *testing.T, hex string) git.ObjectID {
	t.Helper()
	parsed, err := git.ParseObjectID(hex)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}
