package githttp_test

import (
	"fmt"
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
