package gittest

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
)

// LargeHistory makes a bare repository with a straight history of source-like
// text whose pack is of about that many bytes, for benchmarks and memory tests.
// Its files have several versions each, stored as deltas as in a real pack;
// four of them change with each commit. It is the same for the same size, and
// takes some twenty seconds for every 100 MB.
func LargeHistory(t testing.TB, bytes int64) *Repo {
	t.Helper()
	r := Init(t, Bare())
	cmd := Command(t, r.Dir, "-c", "fastimport.unpackLimit=1", "-c", "pack.compression=1", "fast-import", "--quiet")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriterSize(in, 1<<20)
	writeLarge(w, bytes)
	flushed := w.Flush()
	in.Close()
	if err := cmd.Wait(); err != nil || flushed != nil {
		t.Fatalf("git fast-import: %v, %v\n%s", err, flushed, stderr.String())
	}
	return r
}

const (
	filesPerCommit  = 4
	bytesPerFile    = 5200 // of pack, that a file costs with its versions, trees and commits
	filesPerPackage = 20
	packagesPerPart = 25
)

// writeLarge writes first every version of every file, one after the other so
// that fast-import finds the deltas, and then the commits that use them.
func writeLarge(w io.Writer, size int64) {
	random := rand.New(rand.NewPCG(uint64(size), 1))
	source := newSource(random)
	files := make([][]int, max(4, size/bytesPerFile)) // the marks of each one's versions
	mark := 0
	for i := range files {
		lines := source.lines(20 + int(random.ExpFloat64()*200))
		for range 1 + random.IntN(6) {
			mark++
			text := strings.Join(lines, "")
			fmt.Fprintf(w, "blob\nmark :%d\ndata %d\n%s\n", mark, len(text), text)
			files[i] = append(files[i], mark)
			source.edit(lines)
		}
	}
	type change struct{ file, mark int }
	var changes []change
	for version := range 6 { // each file comes early and changes late
		for _, i := range random.Perm(len(files)) {
			if version < len(files[i]) {
				changes = append(changes, change{i, files[i][version]})
			}
		}
	}
	date := int64(Epoch)
	for at := 0; at < len(changes); at += filesPerCommit {
		message := source.lines(2)
		text := message[0] + "\n" + message[1]
		date += 600
		fmt.Fprintf(w, "commit refs/heads/main\nauthor Ada Author <ada@example.com> %d +0000\n", date)
		fmt.Fprintf(w, "committer Carl Committer <carl@example.com> %d +0000\ndata %d\n%s\n", date, len(text), text)
		for _, c := range changes[at:min(at+filesPerCommit, len(changes))] {
			p := c.file / filesPerPackage
			fmt.Fprintf(w, "M 100644 :%d part%02d/package%03d/file%02d.go\n", c.mark, p/packagesPerPart, p%packagesPerPart, c.file%filesPerPackage)
		}
	}
}

// source invents lines that compress about as well as source code does.
type source struct {
	rand *rand.Rand
	pool []string
}

func newSource(random *rand.Rand) *source {
	words := make([]string, 3000)
	for i := range words {
		words[i] = word(random) + word(random)
	}
	// Short indices are far likelier, as few words make most of a text.
	pick := func() string {
		f := random.Float64()
		return words[int(f*f*f*float64(len(words)))]
	}
	s := &source{rand: random, pool: make([]string, 1<<16)}
	for i := range s.pool {
		indent := strings.Repeat("\t", random.IntN(4))
		switch random.IntN(6) {
		case 0:
			s.pool[i] = fmt.Sprintf("%sif %s.%s != %s {\n", indent, pick(), pick(), pick())
		case 1:
			s.pool[i] = fmt.Sprintf("%sreturn %s(%s, %d)\n", indent, pick(), pick(), random.IntN(1000))
		case 2:
			s.pool[i] = fmt.Sprintf("// %s %s %s %s %s %s %s.\n", pick(), pick(), pick(), pick(), pick(), pick(), pick())
		case 3:
			s.pool[i] = indent + "}\n"
		default:
			s.pool[i] = fmt.Sprintf("%s%s := %s.%s(%s, %s)\n", indent, pick(), pick(), pick(), pick(), pick())
		}
	}
	return s
}

func (s *source) lines(n int) []string {
	lines := make([]string, n)
	for i := range lines {
		lines[i] = s.pool[s.rand.IntN(len(s.pool))]
	}
	return lines
}

// edit changes a few lines that stand together.
func (s *source) edit(lines []string) {
	at := s.rand.IntN(len(lines))
	copy(lines[at:], s.lines(min(1+s.rand.IntN(8), len(lines)-at)))
}
