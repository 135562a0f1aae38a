package pack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/cairn-storage/cairn/internal/git"
)

// mergePacks merges packs and checks the result with git.
func mergePacks(t testing.TB, packs []*Pack) *Pack {
	t.Helper()
	s := NewSpool(1<<16, tempFile(t))
	t.Cleanup(func() { s.Close() })
	checksum, index, err := Merge(t.Context(), git.SHA1, s, packs)
	if err != nil {
		t.Fatal(err)
	}
	data, err := s.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(indexPack(t, data, "--strict"), index) {
		t.Error("index differs from git index-pack")
	}
	p, err := OpenBuilt(git.SHA1, s, index)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(checksum, p.Index().PackChecksum()) {
		t.Error("checksum is not the index's")
	}
	for pos := range p.Index().Len() {
		e, err := p.Entry(p.Index().Offset(pos))
		if err != nil {
			t.Fatal(err)
		}
		if e.Kind == RefDelta {
			t.Error("a delta names its base by id")
		}
	}
	return p
}

func TestMerge(t *testing.T) {
	t.Parallel()
	dir := history(t, 45, 6)
	want := objects(t, dir)
	for _, args := range [][]string{{"--delta-base-offset"}, nil, {"--window=0"}} {
		part := func(revs string, flags ...string) *Pack {
			flags = append(append([]string{"pack-objects", "--revs", "--stdout", "-q"}, flags...), args...)
			data := []byte(gitRun(t, dir, revs, flags...))
			got, err := receive(t, data, ReceiveOptions{Base: func(_ context.Context, id git.ObjectID) (git.Object, error) {
				return want[id], nil
			}})
			if err != nil {
				t.Fatal(err)
			}
			return got.Pack
		}
		disjoint := []*Pack{part("main~30\n"), part("main~15\n^main~30\n"), part("v1\n^main~15\n")}
		wantObjects(t, mergePacks(t, disjoint), want, nil)
		thin := []*Pack{part("main~30\n"), part("main~15\n^main~30\n", "--thin"), part("v1\n^main~15\n", "--thin")}
		wantObjects(t, mergePacks(t, thin), want, nil)
		thin[0], thin[2] = thin[2], thin[0]
		wantObjects(t, mergePacks(t, thin), want, nil)
		whole := part("v1\n")
		wantObjects(t, mergePacks(t, []*Pack{part("main~10\n"), whole, part("main\n^main~2\n")}), want, nil)
		wantObjects(t, mergePacks(t, []*Pack{whole, whole}), want, nil)
	}
	if p := mergePacks(t, nil); p.Index().Len() != 0 {
		t.Error("a merge of nothing is not empty")
	}
}

func TestMergeCopiesBodies(t *testing.T) {
	t.Parallel()
	data := packObjects(t, history(t, 30, 5), "--delta-base-offset")
	p := openPack(t, data, indexPack(t, data))
	s := NewSpool(0, tempFile(t))
	defer s.Close()
	if _, _, err := Merge(t.Context(), git.SHA1, s, []*Pack{p}); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Bytes(); err != nil || !bytes.Equal(got, data) {
		t.Errorf("a lone pack is not copied as it is: %v", err)
	}
}

func TestMergeBoundsDepth(t *testing.T) {
	t.Parallel()
	data := []byte("0")
	packs := []*Pack{}
	want := map[git.ObjectID]git.Object{blobID(t, data): {Type: git.BlobObject, Data: data}}
	first, err := receive(t, packOf(t, entry{kind: Blob, data: data}), ReceiveOptions{})
	if err != nil {
		t.Fatal(err)
	}
	packs = append(packs, first.Pack)
	for i := range mergeDepth + 20 {
		next := []byte(fmt.Sprint(i + 1))
		r, err := receive(t, packOf(t, entry{kind: RefDelta, base: blobID(t, data), data: deltaTo(len(data), next)}), ReceiveOptions{
			Base: func(context.Context, git.ObjectID) (git.Object, error) {
				return git.Object{Type: git.BlobObject, Data: data}, nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		packs = append(packs, r.Pack)
		data = next
		want[blobID(t, data)] = git.Object{Type: git.BlobObject, Data: data}
	}
	merged := mergePacks(t, packs)
	wantObjects(t, merged, want, nil)
	for pos := range merged.Index().Len() {
		depth := 0
		for off := merged.Index().Offset(pos); ; depth++ {
			e, err := merged.Entry(off)
			if err != nil {
				t.Fatal(err)
			}
			if !e.Kind.IsDelta() {
				break
			}
			off = e.BaseOffset
		}
		if depth > mergeDepth {
			t.Fatalf("a chain of %d deltas", depth)
		}
	}
}

func TestMergeIsCancelled(t *testing.T) {
	t.Parallel()
	data := packObjects(t, history(t, 3, 2))
	p := openPack(t, data, indexPack(t, data))
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("enough")
	cancel(cause)
	s := NewSpool(0, tempFile(t))
	defer s.Close()
	if _, _, err := Merge(ctx, git.SHA1, s, []*Pack{p}); !errors.Is(err, cause) {
		t.Errorf("got %v, want %v", err, cause)
	}
}
