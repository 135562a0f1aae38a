package diff_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/git/diff"
	"github.com/cairn-storage/cairn/internal/gittest"
)

// runGit returns what git prints.
func runGit(tb testing.TB, dir string, input []byte, args ...string) []byte {
	tb.Helper()
	cmd := gittest.Command(tb, dir, args...)
	cmd.Stdin = bytes.NewReader(input)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		tb.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, stderr.Bytes())
	}
	return out
}

// repository is a bare repository, read through one git cat-file process.
type repository struct {
	format git.ObjectFormat
	dir    string
	in     io.WriteCloser
	out    *bufio.Reader
}

func newRepository(tb testing.TB, f git.ObjectFormat) *repository {
	tb.Helper()
	dir := tb.TempDir()
	runGit(tb, dir, nil, "init", "-q", "--bare", "--object-format="+f.String(), ".")
	r := openRepository(tb, dir)
	r.format = f
	return r
}

func openRepository(tb testing.TB, dir string) *repository {
	tb.Helper()
	r := &repository{dir: dir}
	cmd := exec.CommandContext(context.WithoutCancel(tb.Context()), "git", "cat-file", "--batch")
	cmd.Dir, cmd.Env = dir, gittest.Env()
	var err error
	if r.in, err = cmd.StdinPipe(); err != nil {
		tb.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	r.out = bufio.NewReaderSize(out, 1<<16)
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		r.in.Close()
		cmd.Wait()
	})
	return r
}

func (r *repository) object(id git.ObjectID) ([]byte, error) {
	if _, err := fmt.Fprintln(r.in, id); err != nil {
		return nil, err
	}
	line, err := r.out.ReadString('\n')
	if err != nil {
		return nil, err
	}
	fields := strings.Fields(line)
	if len(fields) != 3 {
		return nil, fmt.Errorf("git cat-file: %s", line)
	}
	size, err := strconv.Atoi(fields[2])
	if err != nil {
		return nil, err
	}
	data := make([]byte, size+1)
	_, err = io.ReadFull(r.out, data)
	return data[:size], err
}

func (r *repository) Tree(_ context.Context, id git.ObjectID) ([]byte, error) { return r.object(id) }

func (r *repository) Blob(_ context.Context, id git.ObjectID, max int64) ([]byte, error) {
	data, err := r.object(id)
	if err == nil && int64(len(data)) > max {
		return nil, diff.ErrTooLarge
	}
	return data, err
}

func (r *repository) BlobSize(_ context.Context, id git.ObjectID) (int64, error) {
	data, err := r.object(id)
	return int64(len(data)), err
}

// treePair is what one comparison is made of.
type treePair struct{ a, b git.ObjectID }

func (p treePair) String() string { return p.a.String() + " " + p.b.String() }

// gitDiffs yields what git diff-tree prints for each of the pairs.
func gitDiffs(tb testing.TB, dir string, pairs []treePair, args []string, each func(treePair, []byte)) {
	tb.Helper()
	var input bytes.Buffer
	for _, p := range pairs {
		fmt.Fprintln(&input, p)
	}
	cmd := gittest.Command(tb, dir, append([]string{"diff-tree", "--stdin", "-r"}, args...)...)
	cmd.Stdin = &input
	cmd.Stderr = io.Discard // rename limits
	out, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	lines := bufio.NewReaderSize(out, 1<<20)
	var text []byte
	next := 0
	flush := func() {
		if next > 0 {
			each(pairs[next-1], text)
		}
		text = text[:0]
	}
	for {
		line, err := lines.ReadBytes('\n')
		if next < len(pairs) && string(line) == pairs[next].String()+"\n" {
			flush()
			next++
		} else {
			text = append(text, line...)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			tb.Fatal(err)
		}
	}
	flush()
	if err := cmd.Wait(); err != nil || next != len(pairs) {
		tb.Fatalf("git diff-tree: %v after %d of %d pairs", err, next, len(pairs))
	}
}

// variant is an option set in both languages.
type variant struct {
	name string
	args []string
	opts diff.Options
	tree diff.TreeOptions
}

var variants = []variant{
	{name: "patch", args: []string{"-M"}, tree: diff.TreeOptions{Renames: true}},
	{name: "without renames", args: []string{"--no-renames"}},
	{name: "b", args: []string{"-M", "-b"}, tree: diff.TreeOptions{Renames: true}, opts: diff.Options{IgnoreSpaceChange: true}},
	{name: "w", args: []string{"-M", "-w"}, tree: diff.TreeOptions{Renames: true}, opts: diff.Options{IgnoreAllSpace: true}},
	{name: "at end of line", args: []string{"-M", "--ignore-space-at-eol"}, tree: diff.TreeOptions{Renames: true}, opts: diff.Options{IgnoreSpaceAtEOL: true}},
	{name: "blank lines", args: []string{"-M", "--ignore-blank-lines"}, tree: diff.TreeOptions{Renames: true}, opts: diff.Options{IgnoreBlankLines: true}},
	{name: "blank lines w", args: []string{"-M", "-w", "--ignore-blank-lines"}, tree: diff.TreeOptions{Renames: true}, opts: diff.Options{IgnoreAllSpace: true, IgnoreBlankLines: true}},
	{name: "no context", args: []string{"-M", "-U0"}, tree: diff.TreeOptions{Renames: true}, opts: diff.Options{Context: -1}},
	{name: "context", args: []string{"-M90%", "-U10", "-l2"}, tree: diff.TreeOptions{Renames: true, RenameScore: 90, RenameLimit: 2}, opts: diff.Options{Context: 10}},
	{name: "plain slide", args: []string{"-M30%", "--no-indent-heuristic"}, tree: diff.TreeOptions{Renames: true, RenameScore: 30}, opts: diff.Options{NoIndentHeuristic: true}},
}

// ownPatch is what gitDiffs yields with --raw -p --full-index.
func ownPatch(tb testing.TB, src diff.Objects, p treePair, v variant) []byte {
	tb.Helper()
	var raw, patch bytes.Buffer
	eachFile(tb, src, p, v, func(f diff.FilePatch) {
		raw.WriteString(rawLine(f.Change))
		patch.Write(f.Text)
	})
	if raw.Len() > 0 {
		raw.WriteByte('\n')
	}
	return append(raw.Bytes(), patch.Bytes()...)
}

// ownCounts is what gitDiffs yields with --numstat, less the names.
func ownCounts(tb testing.TB, src diff.Objects, p treePair, v variant) []byte {
	tb.Helper()
	var out []byte
	eachFile(tb, src, p, v, func(f diff.FilePatch) {
		switch {
		case f.Binary, f.Old.ID == f.New.ID && hasBinary(tb, src, f.New):
			out = append(out, "-\t-\n"...)
		case f.Status == diff.Modified && f.Additions+f.Deletions == 0 && f.Old.Mode == f.New.Mode:
			// git lists no files in which all that changed is ignored
		default:
			out = fmt.Appendf(out, "%d\t%d\n", f.Additions, f.Deletions)
		}
	})
	return out
}

func hasBinary(tb testing.TB, src diff.Objects, s diff.Side) bool {
	tb.Helper()
	if s.Mode.IsSubmodule() {
		return false
	}
	data, err := src.Blob(tb.Context(), s.ID, 1<<30)
	if err != nil {
		tb.Fatal(err)
	}
	return bytes.IndexByte(data[:min(len(data), 8000)], 0) >= 0
}

func eachFile(tb testing.TB, src diff.Objects, p treePair, v variant, do func(diff.FilePatch)) {
	tb.Helper()
	changes, err := diff.Trees(tb.Context(), p.a.Format(), src, p.a, p.b, v.tree)
	if err != nil {
		tb.Fatalf("%s: %v", p, err)
	}
	v.opts.FullIndex = true
	for _, c := range changes {
		f, err := diff.File(tb.Context(), src, c, v.opts)
		if err != nil {
			tb.Fatalf("%s: %v", p, err)
		}
		do(f)
	}
}

func rawLine(c diff.Change) string {
	status, path := c.Status.String(), diff.QuoteName(c.Path())
	if c.Status == diff.Renamed {
		status += fmt.Sprintf("%03d", c.Score)
		path = diff.QuoteName(c.Old.Path) + "\t" + path
	}
	old, new := c.Old.ID.String(), c.New.ID.String()
	if !c.Old.Exists() {
		old = strings.Repeat("0", len(new))
	}
	if !c.New.Exists() {
		new = strings.Repeat("0", len(old))
	}
	return fmt.Sprintf(":%s %s %s %s %s\t%s\n", c.Old.Mode, c.New.Mode, old, new, status, path)
}

// firstDifference shows where two outputs part.
func firstDifference(got, want []byte) string {
	g, w := bytes.SplitAfter(got, []byte("\n")), bytes.SplitAfter(want, []byte("\n"))
	i := 0
	for i < len(g) && i < len(w) && bytes.Equal(g[i], w[i]) {
		i++
	}
	show := func(lines [][]byte) string {
		return fmt.Sprintf("%q", bytes.Join(lines[max(0, min(i-6, len(lines))):min(i+6, len(lines))], nil))
	}
	return fmt.Sprintf("line %d:\n got %s\nwant %s", i+1, show(g), show(w))
}
