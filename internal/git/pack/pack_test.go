package pack

import (
	"bytes"
	"math/rand/v2"
	"testing"

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
