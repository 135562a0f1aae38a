package protocol_test

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/git/protocol"
	"github.com/cairn-storage/cairn/internal/gittest"
)

// newUpstream makes a repository with branches, merges, tags and notes.
func newUpstream(t testing.TB) *gittest.Repo {
	t.Helper()
	repo := gittest.Init(t, gittest.Bare())
	for i := range 12 {
		repo.Commit("main", fmt.Sprintf("commit %d", i), gittest.Files{
			fmt.Sprintf("dir%d/file", i%3): strings.Repeat(fmt.Sprintf("line of %d\n", i), 50), "big": strings.Repeat("x", 5000+i),
		})
		if i == 5 {
			repo.Git("branch", "topic", "main")
			repo.Git("tag", "v1", "main")
			repo.Git("tag", "-m", "annotated", "v1.0", "main")
			repo.Git("tag", "-m", "tag of a tag", "v1.0.0", "v1.0")
		}
	}
	for i := range 4 {
		repo.Commit("topic", fmt.Sprintf("topic %d", i), gittest.Files{"topic": fmt.Sprint(i)})
	}
	repo.GitInput(fmt.Sprintf("commit refs/heads/main\ncommitter C <c@example.com> %d +0000\ndata 5\nmerge\n"+
		"from refs/heads/main^0\nmerge refs/heads/topic^0\n", gittest.Epoch+16*60-1), "fast-import", "--quiet")
	for i := range 3 {
		repo.Commit("main", fmt.Sprintf("after %d", i), gittest.Files{"after": fmt.Sprint(i)})
	}
	repo.Git("config", "uploadpack.allowFilter", "true")
	repo.Git("config", "uploadpack.allowAnySHA1InWant", "true")
	repo.Git("config", "transfer.advertiseObjectInfo", "true")
	repo.Git("config", "receive.advertisePushOptions", "true")
	return repo
}

// eachVersion runs a test with stock git as the client in each version.
func eachVersion(t *testing.T, test func(t *testing.T, s *server, version string)) {
	inVersions(t, []int{0, 1, 2}, test)
}

func inVersions(t *testing.T, versions []int, test func(t *testing.T, s *server, version string)) {
	t.Parallel()
	for _, version := range versions {
		t.Run(fmt.Sprintf("version %d", version), func(t *testing.T) {
			t.Parallel()
			test(t, newServer(t, newUpstream(t)), fmt.Sprintf("protocol.version=%d", version))
		})
	}
}

func TestGitClones(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server, version string) {
		clone := gittest.Clone(t, s.url, "--mirror", "-c", version)
		gittest.Fsck(t, clone.Dir)
		gittest.SameRefs(t, clone.Dir, s.repo.Dir)
		if got, want := clone.Git("symbolic-ref", "HEAD"), "refs/heads/main"; got != want {
			t.Errorf("HEAD: got %q, want %q", got, want)
		}
		s.compareWithGit(t)
	})
}

func TestGitFetchesWhatIsNew(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server, version string) {
		clone := gittest.Clone(t, s.url, "-c", version)
		// The client has much of its own, so that the negotiation takes rounds.
		var in strings.Builder
		for i := range 300 {
			fmt.Fprintf(&in, "commit refs/heads/own%d\ncommitter C <c@example.com> %d +0000\ndata 3\nown\n", i%3, gittest.Epoch+100_000+i)
			if i < 3 {
				in.WriteString("from refs/remotes/origin/main\n")
			}
			fmt.Fprintf(&in, "M 100644 inline own\ndata 3\n%03d\n", i)
		}
		clone.GitInput(in.String(), "fast-import", "--quiet")
		for i := range 3 {
			s.repo.Commit("main", "new", gittest.Files{"new": fmt.Sprint(i)})
			s.repo.Commit("other", "unrelated", gittest.Files{"unrelated": fmt.Sprint(i)})
			s.repo.Git("tag", "-f", "-m", "moved", fmt.Sprintf("t%d", i), "main")
			clone.Git("fetch", "-q", "--prune")
			gittest.Fsck(t, clone.Dir)
			if got, want := clone.RevParse("origin/main"), s.repo.RevParse("main"); got != want {
				t.Errorf("main: got %s, want %s", got, want)
			}
			if got, want := clone.RevParse(fmt.Sprintf("t%d", i)), s.repo.RevParse(fmt.Sprintf("t%d", i)); got != want {
				t.Errorf("tag: got %s, want %s", got, want)
			}
		}
		s.compareWithGit(t)
	})
}

func TestGitFetchesShallow(t *testing.T) {
	for _, args := range [][]string{
		{"--depth=1"}, {"--depth=3"}, {"--depth=3", "--no-single-branch"}, {"--depth=100"},
		{fmt.Sprintf("--shallow-since=%d", gittest.Epoch+420)}, {"--shallow-exclude=topic"}, {"--shallow-exclude=v1.0"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			inVersions(t, []int{0, 2}, func(t *testing.T, s *server, version string) {
				clone := gittest.Clone(t, s.url, append(args, "-c", version)...)
				gittest.Fsck(t, clone.Dir)
				reference := gittest.Clone(t, "file://"+s.repo.Dir, args...)
				for i, step := range []string{"", "--deepen=2", "--depth=2", "--depth=6"} {
					if step != "" {
						s.repo.Commit("main", "new", gittest.Files{"new": step})
						clone.Git("fetch", "-q", step)
						gittest.Fsck(t, clone.Dir)
						if _, err := reference.GitErr("fetch", "-q", step); err != nil {
							break // stock git fails after its own --shallow-exclude here
						}
					}
					got, want := sortedLines(clone.Git("rev-list", "--all")), sortedLines(reference.Git("rev-list", "--all"))
					if !slices.Equal(got, want) {
						t.Fatalf("after step %d %s: got %v, want %v", i, step, got, want)
					}
				}
				if clone.Git("rev-parse", "--is-shallow-repository") == "true" {
					clone.Git("fetch", "-q", "--unshallow")
				}
				gittest.Fsck(t, clone.Dir)
				if got, want := clone.Git("rev-list", "origin/main"), s.repo.Git("rev-list", "main"); got != want {
					t.Fatalf("unshallow: got %v, want %v", got, want)
				}
				s.compareWithGit(t)
			})
		})
	}
}

func sortedLines(s string) []string { return slices.Sorted(strings.Lines(s + "\n")) }

func TestGitFetchesPartially(t *testing.T) {
	for _, filter := range []string{"blob:none", "blob:limit=1k", "tree:0", "tree:1", "combine:blob:none+tree:2", "object:type=commit"} {
		t.Run(filter, func(t *testing.T) {
			inVersions(t, []int{0, 2}, func(t *testing.T, s *server, version string) {
				clone := gittest.Clone(t, s.url, "--bare", "-c", version, "--filter="+filter)
				reference := gittest.Clone(t, "file://"+s.repo.Dir, "--bare", "--filter="+filter)
				have := func(r *gittest.Repo) string { return r.Git("cat-file", "--batch-all-objects", "--batch-check") }
				if got, want := have(clone), have(reference); got != want {
					t.Errorf("got %s, want %s", got, want)
				}
				// Fetch what is missing, one by one.
				if got, want := clone.Git("show", "main:big"), s.repo.Git("show", "main:big"); got != want {
					t.Errorf("main:big: got %q", got)
				}
				s.compareWithGit(t)
			})
		})
	}
}

func TestGitRefusesAFilterThatIsNotAllowed(t *testing.T) {
	t.Parallel()
	s := newServer(t, newUpstream(t))
	dir := t.TempDir()
	_, err := gittest.GitErr(t, dir, "clone", "-q", "--bare", "--filter=sparse:oid=main:big", s.url, dir)
	if err == nil {
		t.Error("the clone succeeded")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.errs) != 1 || !strings.Contains(s.errs[0].Error(), "not supported") {
		t.Errorf("got %v", s.errs)
	}
	s.errs = nil
}

func TestGitListsRefs(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server, version string) {
		for _, c := range []struct{ options, patterns []string }{
			{nil, nil}, {[]string{"--symref"}, nil}, {nil, []string{"main"}}, {[]string{"--heads"}, nil},
			{[]string{"--tags"}, []string{"v1*"}}, {[]string{"--symref"}, []string{"HEAD"}}, {nil, []string{"refs/heads/*"}},
			{nil, []string{"nothing"}},
		} {
			run := func(url string) string {
				args := slices.Concat([]string{"-c", version, "ls-remote", "-q"}, c.options, []string{url}, c.patterns)
				return gittest.Git(t, t.TempDir(), args...)
			}
			if got, want := run(s.url), run("file://"+s.repo.Dir); got != want {
				t.Errorf("%v: got %q, want %q", c, got, want)
			}
		}
		if version == "protocol.version=2" {
			s.compareWithGit(t)
		}
	})
}

func TestGitClonesAnEmptyRepository(t *testing.T) {
	t.Parallel()
	for version := range 3 {
		repo := gittest.Init(t, gittest.Bare())
		repo.Git("symbolic-ref", "HEAD", "refs/heads/trunk")
		s := newServer(t, repo)
		clone := gittest.Clone(t, s.url, "-c", fmt.Sprintf("protocol.version=%d", version))
		want := "refs/heads/main" // versions 0 and 1 cannot say
		if version == 2 {
			want = "refs/heads/trunk"
		}
		if got := clone.Git("symbolic-ref", "HEAD"); got != want {
			t.Errorf("version %d: HEAD: got %q, want %q", version, got, want)
		}
		clone.Commit("trunk", "first", gittest.Files{"a": "b"})
		clone.Git("push", "-q", "origin", "trunk")
		gittest.SameRefs(t, repo.Dir, gittest.Clone(t, s.url, "--mirror").Dir)
	}
}

func TestGitPushes(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server, version string) {
		clone := gittest.Clone(t, s.url, "-c", version)
		clone.Commit("main", "pushed", gittest.Files{"pushed": "1"})
		for _, args := range [][]string{
			{"main"},
			{"main:refs/heads/new", "main~1:refs/tags/t", "v1.0"},
			{"--atomic", "+main~2:main", "main:other"},
			{"--delete", "new"},
			{"-o", "ci.skip", "-o", "text=with blanks", "main:optional"},
			{":other", "main:both"},
		} {
			clone.Git(slices.Concat([]string{"push", "-q"}, args[:countOptions(args)], []string{"origin"}, args[countOptions(args):])...)
		}
		gittest.Fsck(t, s.repo.Dir)
		refs := s.repo.Refs()
		for name, want := range map[string]string{
			"refs/heads/main": clone.RevParse("main~2"), "refs/heads/both": clone.RevParse("main"), "refs/heads/optional": clone.RevParse("main"),
			"refs/heads/new": "", "refs/heads/other": "",
		} {
			if got := refs[name]; got != want {
				t.Errorf("%s: got %q, want %q", name, got, want)
			}
		}
		var options [][]string
		var atomic []bool
		for _, q := range s.pushes {
			options, atomic = append(options, q.Options), append(atomic, q.Atomic())
			if q.ReportVersion() != 2 || !q.Sideband() || !q.Quiet() || !strings.HasPrefix(q.Agent(), "git/") {
				t.Errorf("capabilities %q", q.Capabilities)
			}
		}
		if want := []string{"ci.skip", "text=with blanks"}; len(options) != 6 || !slices.Equal(options[4], want) || len(options[0]) > 0 {
			t.Errorf("options: got %q", options)
		}
		if want := []bool{false, false, true, false, false, false}; !slices.Equal(atomic, want) {
			t.Errorf("atomic: got %v, want %v", atomic, want)
		}
		if q := s.pushes[3]; q.Pack != nil || !q.Commands[0].IsDelete() {
			t.Errorf("a deletion comes with a pack: %+v", q)
		}
	})
}

// countOptions returns how many of the arguments come before the remote.
func countOptions(args []string) int {
	n := 0
	for n < len(args) && strings.HasPrefix(args[n], "-") {
		if args[n] == "-o" {
			n++
		}
		n++
	}
	return n
}

func TestGitShowsWhyARefIsRefused(t *testing.T) {
	t.Parallel()
	s := newServer(t, newUpstream(t))
	s.refuse["refs/heads/main"] = "main is\nprotected"
	clone := gittest.Clone(t, s.url)
	clone.Commit("main", "pushed", gittest.Files{"pushed": "1"})
	_, err := clone.GitErr("push", "origin", "main", "main:fine")
	for _, want := range []string{"! [remote rejected] main -> main (main is protected)", "* [new branch]      main -> fine", "remote: Thank you"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestGitPushesFromAShallowClone(t *testing.T) {
	t.Parallel()
	s := newServer(t, newUpstream(t))
	clone := gittest.Clone(t, s.url, "--depth=2")
	clone.Commit("main", "pushed", gittest.Files{"pushed": "1"})
	clone.Git("push", "-q", "origin", "main")
	if q := s.pushes[0]; len(q.Shallow) != 1 || len(q.Commands) != 1 || !q.Capabilities.Has("report-status-v2") {
		t.Errorf("got %+v", q)
	}
}

func TestGitPushesAtLength(t *testing.T) {
	t.Parallel()
	s := newServer(t, newUpstream(t))
	clone := gittest.Clone(t, s.url, "--mirror", "-c", "http.postBuffer=66000") // probes, then sends in chunks
	var in strings.Builder
	for i := range 700 {
		fmt.Fprintf(&in, "create refs/heads/many/%d refs/heads/main~%d\n", i, i%10)
	}
	clone.GitInput(in.String(), "update-ref", "--stdin")
	clone.Git("push", "-q", "--mirror")
	gittest.SameRefs(t, clone.Dir, s.repo.Dir)
}

func TestGitWantsRefs(t *testing.T) {
	t.Parallel()
	s := newServer(t, newUpstream(t))
	s.refInWant = true
	s.repo.Git("config", "uploadpack.allowRefInWant", "true")
	clone := gittest.Init(t, gittest.Bare())
	for range 2 {
		clone.Git("fetch", "-q", s.url, "+refs/heads/main:refs/heads/main", "+refs/heads/topic:refs/heads/topic")
		if got, want := clone.RevParse("main"), s.repo.RevParse("main"); got != want {
			t.Errorf("main: got %s, want %s", got, want)
		}
		s.compareWithGit(t)
		s.repo.Commit("main", "new", gittest.Files{"new": "1"})
	}
	clone.Git("fetch", "-q", "--depth=1", s.url, "+refs/heads/main:refs/heads/main")
	asked := 0
	for _, e := range s.exchanges {
		asked += bytes.Count(e.body, []byte("want-ref refs/heads/main"))
	}
	if asked < 3 {
		t.Errorf("the client wanted the ref by name %d times", asked)
	}
}

func TestGitShowsErrors(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server, version string) {
		clone := func() string {
			dir := t.TempDir()
			_, err := gittest.GitErr(t, dir, "-c", version, "clone", s.url, dir)
			return fmt.Sprint(err)
		}
		s.fatal = "the disk is on fire"
		if got, want := clone(), "remote: the disk is on fire"; !strings.Contains(got, want) {
			t.Errorf("got %s, want %q", got, want)
		}
		s.denied = "come back later"
		if got, want := clone(), "fatal: remote error: come back later"; !strings.Contains(got, want) {
			t.Errorf("got %s, want %q", got, want)
		}
	})
}

// compareWithGit plays every request that the server got to git upload-pack
// and compares what comes before the pack.
func (s *server) compareWithGit(t *testing.T) {
	t.Helper()
	if len(s.exchanges) == 0 {
		t.Error("there is nothing to compare")
	}
	for _, e := range s.exchanges {
		got, _, err := s.answer(e) // again: the repository may have changed
		if err != nil {
			t.Fatal(err)
		}
		cmd := gittest.Command(t, s.repo.GitDir(), "upload-pack", "--stateless-rpc", ".")
		cmd.Env = gittest.Env(fmt.Sprintf("GIT_PROTOCOL=version=%d", e.version))
		cmd.Stdin = bytes.NewReader(e.body)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		want, err := cmd.Output()
		if err != nil {
			t.Fatalf("git upload-pack: %v: %s\n%q", err, stderr.Bytes(), e.body)
		}
		gotLines, wantLines := conversation(t, got), conversation(t, want)
		if bytes.Contains(e.body, []byte("deepen-not ")) || bytes.Contains(e.body, []byte("deepen-since ")) {
			// Stock git names commits too that the client does not get.
			wantLines = slices.DeleteFunc(wantLines, func(line string) bool {
				return strings.HasPrefix(line, "data shallow ") && !slices.Contains(gotLines, line)
			})
		}
		if !slices.Equal(gotLines, wantLines) {
			same := 0
			for same < min(len(gotLines), len(wantLines)) && gotLines[same] == wantLines[same] {
				same++
			}
			t.Errorf("version %d: %q\nafter %d packets\ngot  %q\nwant %q", e.version, e.body, same, gotLines[same:], wantLines[same:])
		}
	}
}

// conversation returns the packets up to the pack. Shallow lines, which have
// no order, are sorted.
func conversation(t *testing.T, data []byte) []string {
	t.Helper()
	var lines []string
	r := protocol.NewReader(bytes.NewReader(data))
	for {
		p, err := r.ReadPacket()
		if err != nil {
			break
		}
		line := p.Kind.String() + " " + string(p.Text())
		if p.Kind == protocol.Data && len(p.Payload) > 0 && p.Payload[0] <= 3 {
			break // the pack
		}
		if p.Kind == protocol.Data && strings.Contains(line, "shallow ") {
			i := len(lines)
			for i > 0 && strings.Contains(lines[i-1], "shallow ") && lines[i-1] > line {
				i--
			}
			lines = slices.Insert(lines, i, line)
			continue
		}
		lines = append(lines, line)
	}
	return lines
}

// advertised returns the packets of an advertisement, with capabilities as a
// sorted list in their place.
func advertised(t *testing.T, data []byte) (lines, capabilities []string) {
	t.Helper()
	r := protocol.NewReader(bytes.NewReader(data))
	for {
		p, err := r.ReadPacket()
		if err != nil {
			return lines, capabilities
		}
		line := p.Kind.String() + " " + string(p.Text())
		line, words, ok := strings.Cut(line, "\x00")
		if ok {
			set := map[string]bool{}
			for _, w := range strings.Fields(words) {
				if !strings.HasPrefix(w, "agent=") {
					set[w] = true
				}
			}
			capabilities = slices.Sorted(maps.Keys(set))
		}
		if !strings.HasPrefix(line, "data agent=") {
			lines = append(lines, line)
		}
	}
}

func TestAdvertisementsAreGits(t *testing.T) {
	t.Parallel()
	empty := gittest.Init(t, gittest.Bare())
	for _, key := range []string{
		"uploadpack.allowFilter", "uploadpack.allowTipSHA1InWant", "uploadpack.allowReachableSHA1InWant", "uploadpack.allowRefInWant",
		"transfer.advertiseObjectInfo", "receive.advertisePushOptions",
	} {
		empty.Git("config", key, "true")
	}
	full := newUpstream(t)
	full.Git("config", "uploadpack.allowRefInWant", "true")
	full.Git("config", "uploadpack.allowAnySHA1InWant", "false")
	full.Git("config", "uploadpack.allowTipSHA1InWant", "true")
	full.Git("config", "uploadpack.allowReachableSHA1InWant", "true")
	for name, repo := range map[string]*gittest.Repo{"full": full, "empty": empty} {
		for _, service := range []string{protocol.UploadPack, protocol.ReceivePack} {
			for version := range 3 {
				if service == protocol.ReceivePack && version == 2 {
					continue
				}
				s := &server{t: t, repo: repo, refInWant: true}
				refs, err := s.refs()
				if err != nil {
					t.Fatal(err)
				}
				a := s.advertisement(version)
				a.Service = false
				var out bytes.Buffer
				if service == protocol.UploadPack {
					err = protocol.AdvertiseUploadPack(protocol.NewWriter(&out), refs, a)
				} else {
					err = protocol.AdvertiseReceivePack(protocol.NewWriter(&out), refs, a)
				}
				if err != nil {
					t.Fatal(err)
				}
				cmd := gittest.Command(t, repo.GitDir(), strings.TrimPrefix(service, "git-"), "--http-backend-info-refs", ".")
				cmd.Env = gittest.Env(fmt.Sprintf("GIT_PROTOCOL=version=%d", version))
				want, err := cmd.Output()
				if err != nil {
					t.Fatal(err)
				}
				gotLines, gotCapabilities := advertised(t, out.Bytes())
				wantLines, wantCapabilities := advertised(t, want)
				if name == "empty" && service == protocol.UploadPack && version < 2 {
					// This git does not follow its documentation; later ones do.
					wantLines = slices.Insert(wantLines, len(wantLines)-1, "data "+git.ZeroHex+" capabilities^{}")
					wantCapabilities = gotCapabilities
				}
				if !slices.Equal(gotLines, wantLines) || !slices.Equal(gotCapabilities, wantCapabilities) {
					t.Errorf("%s %s version %d:\ngot  %q %q\nwant %q %q", name, service, version, gotLines, gotCapabilities, wantLines, wantCapabilities)
				}
			}
		}
	}
}
