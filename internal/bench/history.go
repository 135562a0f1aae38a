//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/cairn-storage/cairn/internal/demo"
)

// Sizes of what is generated.
const (
	treeFiles = 2000

	bytesPerFile   = 5200 // of pack, that a file of the large history costs with its versions, trees and commits
	filesPerCommit = 4
)

// filesRepository returns a bare repository with one commit of 2,000 files of
// source-like text, three folders deep.
func (b *bench) filesRepository(ctx context.Context) (string, error) {
	return b.generated(ctx, "files-2000.git", func(w io.Writer) {
		text := newText(1)
		fmt.Fprint(w, "commit refs/heads/main\ncommitter Carl <carl@example.com> 1700000000 +0000\ndata 5\nBegin\n")
		for i := range treeFiles {
			content := strings.Join(text.lines(10+text.IntN(80)), "")
			fmt.Fprintf(w, "M 100644 inline %s\ndata %d\n%s\n", treePath(i), len(content), content)
		}
	})
}

// treePath is the path of a file of filesRepository.
func treePath(i int) string {
	i %= treeFiles
	return fmt.Sprintf("part%d/package%02d/sub%d/file%02d.go", i/500, i/50%10, i/10%5, i%10)
}

// largeRepository returns a bare repository whose one pack is of about that
// many bytes, or a copy of the one that BENCH_REPO names.
func (b *bench) largeRepository(ctx context.Context, size int64) (string, error) {
	if own := os.Getenv("BENCH_REPO"); own != "" {
		dir := b.path("large.git")
		if _, err := os.Stat(dir); err == nil {
			return dir, nil
		}
		if _, err := demo.Git(ctx, b.scratch, "clone", "-q", "--bare", "--no-hardlinks", own, dir); err != nil {
			return "", err
		}
		return dir, repack(ctx, dir)
	}
	return b.generated(ctx, "large-"+strconv.FormatInt(size>>20, 10)+"MiB.git", func(w io.Writer) { writeLarge(w, size) })
}

// generated returns a repository of the cache, making it if need be.
func (b *bench) generated(ctx context.Context, name string, write func(io.Writer)) (string, error) {
	dir := filepath.Join(b.cache, name)
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	fmt.Fprintf(os.Stderr, "generating %s\n", name)
	unfinished := dir + ".new"
	if err := os.RemoveAll(unfinished); err != nil {
		return "", err
	}
	if err := os.MkdirAll(unfinished, 0o755); err != nil {
		return "", err
	}
	if _, err := demo.Git(ctx, unfinished, "init", "-q", "--bare", "--template=", "-b", "main", "."); err != nil {
		return "", err
	}
	if err := fastImport(ctx, unfinished, write); err != nil {
		return "", err
	}
	if err := repack(ctx, unfinished); err != nil {
		return "", err
	}
	return dir, os.Rename(unfinished, dir)
}

// repack gives a repository what stock git likes best: one pack, with a bitmap.
func repack(ctx context.Context, dir string) error {
	_, err := demo.Git(ctx, dir, "repack", "-q", "-a", "-d", "-b")
	return err
}

func fastImport(ctx context.Context, dir string, write func(io.Writer)) error {
	cmd := demo.GitCommand(ctx, dir, "-c", "fastimport.unpackLimit=1", "fast-import", "--quiet")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	w := bufio.NewWriterSize(in, 1<<20)
	write(w)
	err = errors.Join(w.Flush(), in.Close(), cmd.Wait())
	if err != nil {
		return fmt.Errorf("git fast-import: %w\n%s", err, stderr.String())
	}
	return nil
}

// writeLarge writes a straight history. First come all versions of each file,
// the youngest first and one after the other, so that fast-import makes the
// older ones deltas of younger ones, as a real pack has them; then the commits
// that change a few files each.
func writeLarge(w io.Writer, size int64) {
	text := newText(uint64(size))
	files := make([][]int, size/bytesPerFile) // the marks of each one's versions, the oldest first
	mark, commits := 0, 0
	for i := range files {
		for _, content := range slices.Backward(text.versions()) {
			mark++
			fmt.Fprintf(w, "blob\nmark :%d\ndata %d\n%s\n", mark, len(content), content)
			files[i] = append(files[i], mark)
		}
		slices.Reverse(files[i])
	}
	changed := 0
	for version := range 6 {
		for _, i := range text.Perm(len(files)) {
			if version >= len(files[i]) {
				continue
			}
			if changed%filesPerCommit == 0 {
				message := strings.Join(text.lines(2), "")
				fmt.Fprintf(w, "commit refs/heads/main\ncommitter Carl <carl@example.com> %d +0000\ndata %d\n%s\n", 1_700_000_000+600*commits, len(message), message)
				commits++
			}
			changed++
			fmt.Fprintf(w, "M 100644 :%d part%02d/package%02d/file%02d.go\n", files[i][version], i/500, i/20%25, i%20)
		}
	}
}

// text invents lines that compress about as well as source code does.
type text struct {
	*rand.Rand
	pool []string
}

func newText(seed uint64) *text {
	t := &text{Rand: rand.New(rand.NewPCG(seed, 1)), pool: make([]string, 1<<16)}
	words := make([]string, 3000)
	for i := range words {
		word := make([]byte, 3+t.IntN(9))
		for j := range word {
			word[j] = byte('a' + t.IntN(26))
		}
		words[i] = string(word)
	}
	pick := func() string {
		f := t.Float64()
		return words[int(f*f*f*float64(len(words)))] // few words make most of a text
	}
	for i := range t.pool {
		indent := strings.Repeat("\t", t.IntN(4))
		switch t.IntN(4) {
		case 0:
			t.pool[i] = indent + "}\n"
		case 1:
			t.pool[i] = fmt.Sprintf("%sif %s.%s != %s {\n", indent, pick(), pick(), pick())
		case 2:
			t.pool[i] = fmt.Sprintf("// %s %s %s %s %s %s.\n", pick(), pick(), pick(), pick(), pick(), pick())
		default:
			t.pool[i] = fmt.Sprintf("%s%s := %s.%s(%s, %d)\n", indent, pick(), pick(), pick(), pick(), t.IntN(1000))
		}
	}
	return t
}

// versions returns the contents that a file has over time.
func (t *text) versions() []string {
	lines := t.lines(20 + int(t.ExpFloat64()*200))
	versions := make([]string, 1+t.IntN(6))
	for i := range versions {
		versions[i] = strings.Join(lines, "")
		at := t.IntN(len(lines))
		copy(lines[at:], t.lines(min(1+t.IntN(8), len(lines)-at)))
	}
	return versions
}

func (t *text) lines(n int) []string {
	lines := make([]string, n)
	for i := range lines {
		lines[i] = t.pool[t.IntN(len(t.pool))]
	}
	return lines
}
