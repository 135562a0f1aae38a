package pack

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/cairn-storage/cairn/internal/git"
)

// gitRun runs stock git, the oracle of these tests, and returns its output.
func gitRun(t testing.TB, dir, stdin string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(context.Background(), "git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=A", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_AUTHOR_DATE=1700000000 +0000",
		"GIT_COMMITTER_NAME=C", "GIT_COMMITTER_EMAIL=c@example.com", "GIT_COMMITTER_DATE=1700000000 +0000")
	cmd.Stdin = strings.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, errs.String())
	}
	return out.String()
}

// history makes a repository of that many commits over text files that change
// a little, with a tag, and returns its folder.
func history(t testing.TB, commits, files int) string {
	t.Helper()
	dir := t.TempDir()
	gitRun(t, dir, "", "init", "-q", "-b", "main", ".")
	gitRun(t, dir, fastImport(commits, files, 120), "fast-import", "--quiet", "--force")
	gitRun(t, dir, "", "tag", "-a", "-m", "first", "v1", "main")
	return dir
}

// fastImport writes a stream for git fast-import; the same arguments give the
// same history.
func fastImport(commits, files, lines int) string {
	r := rand.New(rand.NewPCG(1, uint64(commits*files)))
	words := strings.Fields("if else for range return func type struct interface error nil string int byte pack index object delta base offset size commit tree blob tag branch ref")
	line := func() string {
		var b strings.Builder
		for range 4 + r.IntN(8) {
			b.WriteString(words[r.IntN(len(words))])
			b.WriteByte(' ')
		}
		return b.String() + strconv.Itoa(r.IntN(1000)) + "\n"
	}
	content := make([][]string, files)
	for i := range content {
		for range lines {
			content[i] = append(content[i], line())
		}
	}
	var b strings.Builder
	for c := range commits {
		fmt.Fprintf(&b, "commit refs/heads/main\nmark :%d\ncommitter C <c@example.com> %d +0000\ndata 10\ncommit %02d\n", c+1, 1700000000+c, c%100)
		if c > 0 {
			fmt.Fprintf(&b, "from :%d\n", c)
		}
		for i := range content {
			if c > 0 && r.IntN(files) > 2 {
				continue
			}
			if c > 0 {
				content[i][r.IntN(len(content[i]))] = line()
			}
			text := strings.Join(content[i], "")
			fmt.Fprintf(&b, "M 100644 inline src/d%d/file%d.go\ndata %d\n%s\n", i%7, i, len(text), text)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// packObjects makes a pack of everything that all refs reach.
func packObjects(t testing.TB, dir string, args ...string) []byte {
	t.Helper()
	return []byte(gitRun(t, dir, "", append([]string{"pack-objects", "--revs", "--all", "--stdout", "-q"}, args...)...))
}

// indexPack lets git index a pack and returns the index. git refuses packs
// that are not well-formed in every detail.
func indexPack(t testing.TB, pack []byte, args ...string) []byte {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "p.pack")
	if err := os.WriteFile(path, pack, 0o600); err != nil {
		t.Fatal(err)
	}
	gitRun(t, dir, "", append(append([]string{"index-pack"}, args...), path)...)
	gitRun(t, dir, "", "verify-pack", path)
	idx, err := os.ReadFile(filepath.Join(dir, "p.idx"))
	if err != nil {
		t.Fatal(err)
	}
	return idx
}

// objects lets git list every object of a repository with its content.
func objects(t testing.TB, dir string) map[git.ObjectID]git.Object {
	t.Helper()
	out := []byte(gitRun(t, dir, "", "cat-file", "--batch", "--batch-all-objects"))
	all := map[git.ObjectID]git.Object{}
	for len(out) > 0 {
		line, rest, _ := bytes.Cut(out, []byte{'\n'})
		fields := strings.Fields(string(line))
		kind, err := git.ParseObjectType(fields[1])
		if err != nil {
			t.Fatal(err)
		}
		size, err := strconv.Atoi(fields[2])
		if err != nil {
			t.Fatal(err)
		}
		all[git.MustParseObjectID(fields[0])] = git.Object{Type: kind, Data: rest[:size]}
		out = rest[size+1:]
	}
	return all
}

// openPack opens a pack in memory.
func openPack(t testing.TB, pack, index []byte) *Pack {
	t.Helper()
	x, err := ParseIndex(git.SHA1, index)
	if err != nil {
		t.Fatal(err)
	}
	if err := x.Verify(); err != nil {
		t.Fatal(err)
	}
	p, err := New(git.SHA1, Bytes(pack), x)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// wantObjects checks that a pack holds exactly these objects, by every way of
// reading them.
func wantObjects(t testing.TB, p *Pack, want map[git.ObjectID]git.Object, cache Cache) {
	t.Helper()
	if got := p.Index().Len(); got != len(want) {
		t.Errorf("pack of %d objects, want %d", got, len(want))
	}
	for id, o := range want {
		pos, ok := p.Index().Find(id)
		if !ok {
			t.Fatalf("%s is not in the pack", id)
		}
		off := p.Index().Offset(pos)
		got, err := p.Object(off, cache, 0)
		if err != nil {
			t.Fatalf("object %s: %v", id, err)
		}
		if got.Type != o.Type || !bytes.Equal(got.Data, o.Data) {
			t.Fatalf("object %s: a %s of %d bytes, want a %s of %d", id, got.Type, len(got.Data), o.Type, len(o.Data))
		}
		kind, size, err := p.Header(off)
		if err != nil || kind != o.Type || size != int64(len(o.Data)) {
			t.Fatalf("header of %s: %s, %d, %v; want %s, %d", id, kind, size, err, o.Type, len(o.Data))
		}
		r, err := p.Open(off, cache)
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(data, o.Data) || r.Size() != size || r.Type() != kind {
			t.Fatalf("reader of %s gives %d bytes, %v; want %d", id, len(data), err, size)
		}
		r.Close()
		checkCopy(t, p, off, cache, o.Data)
	}
}

// checkCopy compares what a reader writes by itself, after some was read.
func checkCopy(t testing.TB, p *Pack, off int64, cache Cache, want []byte) {
	t.Helper()
	r, err := p.Open(off, cache)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	first := make([]byte, len(want)/2)
	var rest bytes.Buffer
	_, err = io.ReadFull(r, first)
	n, err2 := r.WriteTo(&rest)
	if err != nil || err2 != nil || int(n) != rest.Len() || !bytes.Equal(append(first, rest.Bytes()...), want) {
		t.Fatalf("reader gives %d bytes and then writes %d, %v, %v; want %d in all", len(first), n, err, err2, len(want))
	}
}

// mapCache is a Cache without bounds.
type mapCache struct {
	mu sync.Mutex
	m  map[int64]git.Object
}

func (c *mapCache) Get(off int64) (git.Object, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	o, ok := c.m[off]
	return o, ok
}

func (c *mapCache) Put(off int64, o git.Object) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m == nil {
		c.m = map[int64]git.Object{}
	}
	c.m[off] = o
}

// blocks is Data whose views end at small block boundaries, as those of a
// cache of remote blocks do.
type blocks struct {
	Bytes
	size int
}

func (b blocks) View(off int64, n int) ([]byte, error) {
	return b.Bytes.View(off, min(n, b.size-int(off)%b.size))
}

// tempFile is a factory of unlinked files.
func tempFile(t testing.TB) TempFile {
	dir := t.TempDir()
	return func() (*os.File, error) {
		f, err := os.CreateTemp(dir, "pack")
		if err != nil {
			return nil, err
		}
		return f, os.Remove(f.Name())
	}
}
