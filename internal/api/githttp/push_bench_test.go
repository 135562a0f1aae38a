package githttp_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/cairn-storage/cairn/internal/gittest"
)

// branches makes a local repository of as many branches, each with a commit of
// its own on top of main, and returns it, the tips, and a pack of all that main
// does not lead to.
func branches(t testing.TB, count int) (r *gittest.Repo, tips []string, pack []byte) {
	t.Helper()
	r = gittest.Init(t)
	r.Commit("main", "first", gittest.Files{"README": "hello\n", "d/e/f": "deep\n"})
	var script strings.Builder
	for i := range count {
		content := fmt.Sprintf("branch %d\n", i)
		fmt.Fprintf(&script, "commit refs/heads/b/%05d\ncommitter C <c@example.com> %d +0000\ndata 4\nNext\nfrom refs/heads/main^0\nM 100644 inline f%d\ndata %d\n%s\n",
			i, 1_800_000_000+i, i%10, len(content), content)
	}
	r.GitInput(script.String(), "fast-import", "--quiet")
	r.Git("pack-refs", "--all")
	tips = strings.Fields(r.Git("for-each-ref", "--format=%(objectname)", "refs/heads/b/"))
	cmd := gittest.Command(t, r.Dir, "pack-objects", "-q", "--revs", "--stdout", "--delta-base-offset")
	cmd.Stdin = strings.NewReader(strings.Join(tips, "\n") + "\n^main\n")
	pack, err := cmd.Output()
	check(t, err)
	return r, tips, pack
}

// BenchmarkPushOfRefs makes and deletes many refs at once.
func BenchmarkPushOfRefs(b *testing.B) {
	for _, count := range []int{1, 1000, 10_000} {
		local, tips, pack := branches(b, count)
		created, deleted := make([]string, count), make([]string, count)
		for i, tip := range tips {
			created[i] = fmt.Sprintf("%s %s refs/heads/b/%05d", zero, tip, i)
			deleted[i] = fmt.Sprintf("%s %s refs/heads/b/%05d", tip, zero, i)
		}
		s := start(b)
		n := 0
		push := func(name string, pack []byte, updates []string) {
			if answer := s.pushRaw(name, pack, updates...); strings.Count(answer, "ok refs/heads/b/") != count {
				b.Fatal(answer[:min(len(answer), 300)])
			}
		}
		b.Run(fmt.Sprint("create/", count), func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				n++
				name := fmt.Sprint("r", n)
				s.create(name)
				must(b, local.Dir, "push", "-q", s.remote(name, ""), "main")
				b.StartTimer()
				push(name, pack, created)
			}
		})
		b.Run(fmt.Sprint("delete/", count), func(b *testing.B) {
			name := fmt.Sprint("r", n)
			for first := true; b.Loop(); first = false {
				b.StopTimer()
				if !first {
					push(name, pack, created)
				}
				b.StartTimer()
				push(name, nil, deleted)
			}
		})
	}
}

// BenchmarkSmallPush makes the three requests of a push of one commit, each
// push on a connection of its own as git's are.
func BenchmarkSmallPush(b *testing.B) {
	local := gittest.Init(b)
	files := gittest.Files{}
	for i := range 2000 {
		files[fmt.Sprintf("part%d/package%d/file%02d.go", i/500, i/20%25, i%20)] = strings.Repeat(fmt.Sprintf("// file %d\n", i), 40)
	}
	local.Commit("main", "first", files)
	s := start(b)
	s.create("r")
	must(b, local.Dir, "push", "-q", s.remote("r", ""), "main")
	bodies := make([][]byte, b.N)
	old := local.RevParse("main")
	for i := range bodies {
		tip := local.Commit("main", "next", gittest.Files{fmt.Sprintf("part%d/package%d/file%02d.go", i%4, i%25, i%20): strings.Repeat(fmt.Sprintf("// version %d\n", i), 40)})
		cmd := gittest.Command(b, local.Dir, "pack-objects", "-q", "--revs", "--stdout", "--thin", "--delta-base-offset")
		cmd.Stdin = strings.NewReader(tip + "\n^" + old + "\n")
		pack, err := cmd.Output()
		check(b, err)
		command := lines(old+" "+tip+" refs/heads/main\x00 report-status-v2 side-band-64k object-format=sha1 agent=git/2.39.5", "0000")
		bodies[i] = append([]byte(command), pack...)
		old = tip
	}
	token := s.token("r")
	b.ResetTimer()
	for _, body := range bodies {
		client := &http.Client{Transport: &http.Transport{}}
		for _, r := range []struct {
			method, path, token string
			body                []byte
			status              int
		}{
			{"GET", "info/refs?service=git-receive-pack", "", nil, http.StatusUnauthorized},
			{"GET", "info/refs?service=git-receive-pack", token, nil, http.StatusOK},
			{"POST", "git-receive-pack", token, body, http.StatusOK},
		} {
			req, err := http.NewRequestWithContext(b.Context(), r.method, s.url+"/r.git/"+r.path, bytes.NewReader(r.body))
			check(b, err)
			if r.token != "" {
				req.SetBasicAuth("t", r.token)
			}
			if r.body != nil {
				req.Header.Set("Content-Type", "application/x-git-receive-pack-request")
			}
			resp, err := client.Do(req)
			check(b, err)
			answer, err := io.ReadAll(resp.Body)
			check(b, err)
			resp.Body.Close()
			if resp.StatusCode != r.status || r.body != nil && !bytes.Contains(answer, []byte("ok refs/heads/main")) {
				b.Fatalf("%s: %s %q", r.method, resp.Status, answer)
			}
		}
		client.CloseIdleConnections()
	}
}
