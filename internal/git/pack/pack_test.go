package pack

import (
	"bytes"
	"crypto/sha1"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/cairn-storage/cairn/internal/git"
)

func TestPackAgainstGit(t *testing.T) {
	t.Parallel()
	dir := history(t, 60, 12)
	want := objects(t, dir)
	for _, c := range []struct {
		name string
		args []string
	}{
		{"offset deltas", []string{"--delta-base-offset"}},
		{"reference deltas", nil},
		{"long chains", []string{"--delta-base-offset", "--depth=4000", "--window=50"}},
		{"no deltas", []string{"--window=0"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			data := packObjects(t, dir, c.args...)
			idx := indexPack(t, data)
			p := openPack(t, data, idx)
			wantObjects(t, p, want, nil)
			wantObjects(t, p, want, &mapCache{})
			for _, size := range []int{7, 64, 4096} {
				remote, err := New(git.SHA1, blocks{data, size}, p.Index())
				if err != nil {
					t.Fatal(err)
				}
				wantObjects(t, remote, want, nil)
			}
			var entries []IndexEntry
			for pos := range p.Index().Len() {
				x := p.Index()
				entries = append(entries, IndexEntry{x.ID(pos), x.Offset(pos), x.CRC32(pos)})
			}
			rand.Shuffle(len(entries), func(i, j int) { entries[i], entries[j] = entries[j], entries[i] })
			if got := EncodeIndex(git.SHA1, entries, p.Index().PackChecksum()); !bytes.Equal(got, idx) {
				t.Error("EncodeIndex differs from git index-pack")
			}
		})
	}
}

func TestBuilder(t *testing.T) {
	t.Parallel()
	want := objects(t, history(t, 20, 5))
	for _, threshold := range []int64{0, 100, 1 << 30} {
		s := NewSpool(threshold, tempFile(t))
		defer s.Close()
		b := NewBuilder(git.SHA1, s, DefaultCompression)
		for range 2 {
			for id, o := range want {
				if got, err := b.Add(o.Type, o.Data); err != nil || got != id {
					t.Fatalf("Add gives %s, %v; want %s", got, err, id)
				}
				if got, err := b.AddReader(o.Type, int64(len(o.Data)), bytes.NewReader(o.Data)); err != nil || got != id {
					t.Fatalf("AddReader gives %s, %v; want %s", got, err, id)
				}
			}
		}
		checksum, idx, err := b.Finish()
		if err != nil {
			t.Fatal(err)
		}
		p, err := OpenBuilt(git.SHA1, s, idx)
		if err != nil {
			t.Fatal(err)
		}
		wantObjects(t, p, want, nil)
		if !bytes.Equal(checksum, p.Index().PackChecksum()) {
			t.Error("checksum is not the index's")
		}
		data, err := s.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(indexPack(t, data, "--strict"), idx) {
			t.Error("index differs from git index-pack")
		}
	}
}

// What is taken out of a pack leaves no trace in it, and what is put in from
// another one is as if it had been added.
func TestBuilderTruncateAndAppend(t *testing.T) {
	t.Parallel()
	object := func(i int) []byte { return fmt.Appendf(nil, "object %d %x", i, bytes.Repeat([]byte{byte(i)}, i)) }
	build := func(parts ...[]int) []byte {
		spools := make([]*Spool, len(parts))
		builders := make([]*Builder, len(parts))
		for p, numbers := range parts {
			spools[p] = NewSpool(0, nil)
			defer spools[p].Close()
			builders[p] = NewBuilder(git.SHA1, spools[p], 1)
			for _, i := range numbers {
				if _, err := builders[p].Add(git.BlobObject, object(i)); err != nil {
					t.Fatal(err)
				}
				if i == 50 {
					if err := builders[p].Truncate(10); err != nil {
						t.Fatal(err)
					}
				}
			}
			if p == 0 {
				continue
			}
			if err := builders[0].Append(builders[p]); err != nil {
				t.Fatal(err)
			}
		}
		checksum, index, err := builders[0].Finish()
		if err != nil {
			t.Fatal(err)
		}
		opened, err := OpenBuilt(git.SHA1, spools[0], index)
		if err != nil {
			t.Fatal(err)
		}
		if err := opened.Verify(t.Context()); err != nil {
			t.Error(err)
		}
		return append(checksum, index...)
	}
	upTo := func(from, to int) (all []int) {
		for i := from; i < to; i++ {
			all = append(all, i)
		}
		return all
	}
	want := build(upTo(0, 40))
	for name, got := range map[string][]byte{
		"after 41 were taken out":        build(append(upTo(0, 51), upTo(10, 40)...)),
		"of three parts":                 build(upTo(0, 5), upTo(5, 6), upTo(6, 40)),
		"of two that overlap":            build(upTo(0, 30), upTo(0, 40)),
		"a part that was taken out from": build(upTo(0, 3), append(upTo(0, 51), upTo(10, 40)...)),
	} {
		if !bytes.Equal(got, want) {
			t.Errorf("a pack %s is another one", name)
		}
	}
}

func TestStreamWriter(t *testing.T) {
	t.Parallel()
	dir := history(t, 20, 5)
	want := objects(t, dir)
	data := packObjects(t, dir, "--delta-base-offset")
	p := openPack(t, data, indexPack(t, data))
	var out bytes.Buffer
	s := NewStreamWriter(git.SHA1, &out, uint32(len(want)), 1)
	at := map[git.ObjectID]int64{}
	for i, pos := range p.Index().ByOffset() {
		id := p.Index().ID(int(pos))
		r, err := p.Raw(int(pos))
		if err != nil {
			t.Fatal(err)
		}
		at[id] = s.Offset()
		o := want[id]
		switch {
		case i%5 == 0:
			err = s.WriteObject(o.Type, o.Data)
		case i%5 == 1:
			err = s.WriteReader(o.Type, int64(len(o.Data)), bytes.NewReader(o.Data))
		case i%2 == 0:
			err = s.WriteRaw(r, at[r.Base])
		default:
			err = s.WriteRaw(r, 0)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	checksum, err := s.Close()
	if err != nil {
		t.Fatal(err)
	}
	written := openPack(t, out.Bytes(), indexPack(t, out.Bytes(), "--strict"))
	wantObjects(t, written, want, nil)
	if !bytes.Equal(checksum, written.Index().PackChecksum()) {
		t.Error("Close returns another checksum")
	}

	out.Reset()
	s = NewStreamWriter(git.SHA1, &out, uint32(len(want)), 1)
	if err := s.WriteBody(p); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(out.Bytes(), data) {
		t.Error("the body of a whole pack is not copied as it is")
	}
}

// TestStreamWriterKnowsChecksums copies whole packs where their own checksum is
// that of the stream, and where it is not.
func TestStreamWriterKnowsChecksums(t *testing.T) {
	t.Parallel()
	data := packObjects(t, history(t, 5, 1), "--delta-base-offset")
	old := bytes.Clone(data) // the same pack, written as version 3
	old[7] = 3
	sum := sha1.Sum(old[:len(old)-sha1.Size])
	copy(old[len(old)-sha1.Size:], sum[:])
	for name, stored := range map[string][]byte{"version 2": data, "version 3": old} {
		p := openPack(t, stored, indexPack(t, stored))
		var out bytes.Buffer
		for _, known := range [][]byte{nil, data[len(data)-sha1.Size:]} {
			out.Reset()
			s := NewStreamWriter(git.SHA1, &out, uint32(p.Index().Len()), 1)
			if known != nil {
				s.Checksum(known)
			}
			if err := s.WriteBody(p); err != nil {
				t.Fatal(err)
			}
			if checksum, err := s.Close(); err != nil || !bytes.HasSuffix(data, checksum) {
				t.Errorf("%s: checksum %x, %v", name, checksum, err)
			}
			if !bytes.Equal(out.Bytes(), data) {
				t.Errorf("%s: not the same pack", name)
			}
		}
	}
}

func TestBuilderKeepsWhatItHas(t *testing.T) {
	t.Parallel()
	s := NewSpool(0, tempFile(t))
	defer s.Close()
	b := NewBuilder(git.SHA1, s, 1)
	x, err := b.Add(git.BlobObject, []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	size := b.Size()
	for _, c := range []struct {
		name string
		size int64
		r    io.Reader
		want error
	}{
		{"too short", 5, strings.NewReader("abc"), io.ErrUnexpectedEOF},
		{"too long", 2, strings.NewReader("abc"), nil},
		{"failing", 5, iotest.ErrReader(io.ErrClosedPipe), io.ErrClosedPipe},
	} {
		if _, err := b.AddReader(git.BlobObject, c.size, c.r); err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	y := blobID(t, []byte("y"))
	delta := Raw{Kind: RefDelta, Size: 3, Base: y, Data: Bytes(zlibOf(t, 6, deltaTo(1, nil)))}
	if err := b.AddRaw(blobID(t, []byte("z")), delta); !errors.Is(err, ErrMissingBase) {
		t.Errorf("raw delta without its base: %v", err)
	}
	if b.Len() != 1 || b.Size() != size || !b.Has(x) || b.Has(y) {
		t.Errorf("%d objects, %d bytes; want 1, %d", b.Len(), b.Size(), size)
	}
	delta = Raw{Kind: OfsDelta, Size: int64(len(deltaTo(1, []byte("y")))), Base: x, Data: Bytes(zlibOf(t, 6, deltaTo(1, []byte("y"))))}
	delta.End = delta.Data.Size()
	if err := b.AddRaw(y, delta); err != nil {
		t.Fatal(err)
	}
	_, index, err := b.Finish()
	if err != nil {
		t.Fatal(err)
	}
	p, err := OpenBuilt(git.SHA1, s, index)
	if err != nil {
		t.Fatal(err)
	}
	wantObjects(t, p, map[git.ObjectID]git.Object{
		x: {Type: git.BlobObject, Data: []byte("x")},
		y: {Type: git.BlobObject, Data: []byte("y")},
	}, nil)
	if _, err := b.Add(git.BlobObject, nil); err == nil {
		t.Error("Add after Finish")
	}
	if _, _, err := b.Finish(); err == nil {
		t.Error("Finish after Finish")
	}
	if _, err := NewBuilder(git.SHA1, s, 1).Add(git.BlobObject, nil); err == nil {
		t.Error("a Builder on a spool that is in use")
	}
}

func TestStreamWriterCounts(t *testing.T) {
	t.Parallel()
	s := NewStreamWriter(git.SHA1, io.Discard, 1, 1)
	if _, err := s.Close(); err == nil {
		t.Error("too few objects are not noticed")
	}
	s = NewStreamWriter(git.SHA1, io.Discard, 0, 1)
	if err := s.WriteObject(git.BlobObject, nil); err == nil {
		t.Error("too many objects are not noticed")
	}
	s = NewStreamWriter(git.SHA1, io.Discard, 1, 1)
	if err := s.WriteReader(git.BlobObject, 5, strings.NewReader("abc")); err == nil {
		t.Error("a short object is not noticed")
	}
	if _, err := s.Close(); err == nil {
		t.Error("a broken stream is closed as if it were whole")
	}
}

func TestVerify(t *testing.T) {
	t.Parallel()
	data := packObjects(t, history(t, 5, 2), "--delta-base-offset")
	idx := indexPack(t, data)
	if err := openPack(t, data, idx).Verify(t.Context()); err != nil {
		t.Fatal(err)
	}
	for at := 12; at < len(data)-20; at += 97 {
		damaged := bytes.Clone(data)
		damaged[at] ^= 4
		if err := openPack(t, damaged, idx).Verify(t.Context()); !errors.Is(err, ErrMalformed) {
			t.Fatalf("byte %d damaged: %v", at, err)
		}
	}
}

// TestOwnHistory reads the packs of the repository that this source is in, if
// it is in one.
func TestOwnHistory(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..", "..")
	if _, err := os.Stat(filepath.Join(root, ".git")); err != nil {
		return // an export of the source
	}
	out := gitRun(t, root, "", "-c", "safe.directory=*", "rev-list", "--objects", "--no-object-names", "HEAD")
	dir := t.TempDir()
	gitRun(t, dir, "", "init", "-q", "--bare", ".")
	data := []byte(gitRun(t, root, out, "-c", "safe.directory=*", "pack-objects", "--stdout", "-q", "--delta-base-offset"))
	if err := os.WriteFile(filepath.Join(dir, "objects", "pack", "pack-0.pack"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	gitRun(t, dir, "", "index-pack", filepath.Join("objects", "pack", "pack-0.pack"))
	idx, err := os.ReadFile(filepath.Join(dir, "objects", "pack", "pack-0.idx"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := receive(t, data, ReceiveOptions{Check: checkAll})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Index, idx) {
		t.Error("index differs from git index-pack")
	}
	wantObjects(t, got.Pack, objects(t, dir), &mapCache{})
}
