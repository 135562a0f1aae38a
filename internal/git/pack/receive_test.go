package pack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"io"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"

	"github.com/cairn-storage/cairn/internal/git"
)

// receive receives a pack with a full check of its objects.
func receive(t testing.TB, data []byte, opts ReceiveOptions) (*Received, error) {
	t.Helper()
	return receiveFrom(t, bytes.NewReader(data), opts)
}

func receiveFrom(t testing.TB, r io.Reader, opts ReceiveOptions) (*Received, error) {
	t.Helper()
	opts.Format = git.SHA1
	if opts.TempFile == nil {
		opts.TempFile = tempFile(t)
	}
	got, err := Receive(t.Context(), r, opts)
	if err == nil {
		t.Cleanup(func() { got.Close() })
	}
	return got, err
}

func checkAll(t git.ObjectType, data []byte) error { return git.CheckObject(git.SHA1, t, data) }

func TestReceiveAgainstGit(t *testing.T) {
	t.Parallel()
	dir := history(t, 80, 12)
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
		data := packObjects(t, dir, c.args...)
		idx := indexPack(t, data)
		for _, o := range []struct {
			name string
			ReceiveOptions
			read func(io.Reader) io.Reader
		}{
			{"in memory", ReceiveOptions{SpoolMemory: 1 << 30}, nil},
			{"in a file", ReceiveOptions{SpoolMemory: -1, Workers: 4}, nil},
			{"tiny budget", ReceiveOptions{Memory: 1}, nil},
			{"slow stream", ReceiveOptions{Workers: 1}, iotest.OneByteReader},
			{"end with data", ReceiveOptions{}, iotest.DataErrReader},
		} {
			t.Run(c.name+", "+o.name, func(t *testing.T) {
				t.Parallel()
				var checked atomic.Int64
				o.Check = func(kind git.ObjectType, data []byte) error {
					checked.Add(1)
					return checkAll(kind, data)
				}
				var r io.Reader = bytes.NewReader(data)
				if o.read != nil {
					r = o.read(r)
				}
				got, err := receiveFrom(t, r, o.ReceiveOptions)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(got.Index, idx) {
					t.Error("index differs from git index-pack")
				}
				if stored, err := got.Spool.Bytes(); err != nil || !bytes.Equal(stored, data) {
					t.Errorf("spool holds another pack, %v", err)
				}
				wantObjects(t, got.Pack, want, nil)
				blobs := 0
				for _, o := range want {
					if o.Type == git.BlobObject {
						blobs++
					}
				}
				if int(checked.Load()) != len(want)-blobs {
					t.Errorf("%d objects checked, want %d", checked.Load(), len(want)-blobs)
				}
			})
		}
	}
}

func TestReceiveThin(t *testing.T) {
	t.Parallel()
	dir := history(t, 60, 12)
	all := objects(t, dir)
	base := func(_ context.Context, id git.ObjectID) (git.Object, error) {
		if o, ok := all[id]; ok {
			return o, nil
		}
		return git.Object{}, errors.New("no such object")
	}
	for _, args := range [][]string{{"--delta-base-offset"}, nil} {
		data := []byte(gitRun(t, dir, "main\n^main~3\n", append([]string{"pack-objects", "--revs", "--thin", "--stdout", "-q"}, args...)...))
		if _, err := receive(t, data, ReceiveOptions{}); !errors.Is(err, ErrMissingBase) {
			t.Fatalf("without Base: %v, want ErrMissingBase", err)
		}
		if _, err := receive(t, data, ReceiveOptions{Base: func(context.Context, git.ObjectID) (git.Object, error) {
			return git.Object{}, io.ErrNoProgress
		}}); !errors.Is(err, ErrMissingBase) || !errors.Is(err, io.ErrNoProgress) {
			t.Fatalf("with a Base that has none: %v, want ErrMissingBase and its error", err)
		}
		for _, memory := range []int64{0, -1, 1 << 30} {
			got, err := receive(t, data, ReceiveOptions{Base: base, Check: checkAll, SpoolMemory: memory})
			if err != nil {
				t.Fatal(err)
			}
			if got.Bases == 0 {
				t.Error("no bases appended: the pack was not thin")
			}
			stored, err := got.Spool.Bytes()
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(indexPack(t, stored), got.Index) {
				t.Error("index differs from git index-pack")
			}
			want := map[git.ObjectID]git.Object{}
			for pos := range got.Pack.Index().Len() {
				id := got.Pack.Index().ID(pos)
				want[id] = all[id]
			}
			wantObjects(t, got.Pack, want, nil)
		}
	}
}

// entry is one entry of a pack made for a test.
type entry struct {
	kind Kind
	data []byte // the object or the delta
	base any    // of a delta: git.ObjectID, or the distance as int64
	size int64  // claimed; 0: the true one
	zlib []byte // instead of data, deflated
}

// packOf writes a pack, as malformed as its entries are.
func packOf(t testing.TB, entries ...entry) []byte {
	t.Helper()
	b := packHeader(uint32(len(entries)))
	for _, e := range entries {
		size := e.size
		if size == 0 {
			size = int64(len(e.data))
		}
		b = appendHeader(b, e.kind, size)
		switch base := e.base.(type) {
		case git.ObjectID:
			b = base.AppendTo(b)
		case int64:
			b = appendDistance(b, base)
		}
		if e.zlib == nil {
			d := getDeflater(DefaultCompression)
			stream, err := d.deflate(e.data)
			if err != nil {
				t.Fatal(err)
			}
			e.zlib = bytes.Clone(stream)
			d.release()
		}
		b = append(b, e.zlib...)
	}
	return withTrailer(b)
}

func withTrailer(b []byte) []byte {
	h := newChecksum(git.SHA1)
	h.Write(b)
	return h.Sum(b)
}

func blobID(t testing.TB, data []byte) git.ObjectID {
	t.Helper()
	id, err := git.HashObject(git.SHA1, git.BlobObject, data)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// deltaTo writes a delta that inserts result, whatever the base.
func deltaTo(baseSize int, result []byte) []byte {
	d := appendSize(appendSize(nil, int64(baseSize)), int64(len(result)))
	for len(result) > 0 {
		n := min(127, len(result))
		d = append(append(d, byte(n)), result[:n]...)
		result = result[n:]
	}
	return d
}

func appendSize(b []byte, n int64) []byte {
	for ; n >= 0x80; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return append(b, byte(n))
}

// wantRefusal wants Receive to fail with target in the chain.
func wantRefusal(t *testing.T, data []byte, opts ReceiveOptions, target error) {
	t.Helper()
	_, err := receive(t, data, opts)
	if !errors.Is(err, target) {
		t.Errorf("got %v, want %v", err, target)
	}
}

func wantLimit(t *testing.T, data []byte, opts ReceiveOptions, name string) {
	t.Helper()
	_, err := receive(t, data, opts)
	var limit *LimitError
	if !errors.As(err, &limit) || limit.Name != name {
		t.Errorf("got %v, want over the limit %q", err, name)
	}
}

func TestZlibBomb(t *testing.T) {
	t.Parallel()
	zeros := make([]byte, 3<<20)
	bomb := zlibOf(t, 9, zeros)
	honest := packOf(t, entry{kind: Blob, data: zeros})
	wantLimit(t, honest, ReceiveOptions{Limits: Limits{ObjectSize: 1 << 20}}, "object size")
	wantLimit(t, honest, ReceiveOptions{Limits: Limits{Inflated: 1 << 20}}, "inflated size")
	for _, size := range []int64{1, 1000, 5 << 18, 3<<20 - 1, 3<<20 + 1, 1 << 40} {
		lie := packOf(t, entry{kind: Blob, size: size, zlib: bomb})
		wantRefusal(t, lie, ReceiveOptions{}, ErrMalformed)
		lie = packOf(t, entry{kind: Tree, size: size, zlib: bomb})
		wantRefusal(t, lie, ReceiveOptions{}, ErrMalformed)
	}
	var many []entry
	for i := range 22 {
		copy(zeros, fmt.Sprint(i))
		many = append(many, entry{kind: Blob, data: bytes.Clone(zeros)})
	}
	wantLimit(t, packOf(t, many...), ReceiveOptions{Limits: Limits{Ratio: 100}}, "inflate ratio")
}

func TestDeltaBomb(t *testing.T) {
	t.Parallel()
	base := make([]byte, 1<<16)
	delta := appendSize(appendSize(nil, int64(len(base))), 1<<16*1000)
	for range 1000 {
		delta = append(delta, 0x80) // copy 64 KiB from offset 0
	}
	pack := packOf(t, entry{kind: Blob, data: base}, entry{kind: RefDelta, base: blobID(t, base), data: delta})
	wantLimit(t, pack, ReceiveOptions{Limits: Limits{ObjectSize: 1 << 20}}, "object size")
	wantLimit(t, pack, ReceiveOptions{Limits: Limits{Inflated: 1 << 20}}, "inflated size")
	if _, err := receive(t, pack, ReceiveOptions{}); err != nil {
		t.Errorf("without limits: %v", err)
	}
	if _, err := ApplyDelta(base, delta, 1<<20); err == nil {
		t.Error("ApplyDelta goes over its limit")
	}
}

func TestDeltaDepth(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		depth, limit int
		ok           bool
	}{{10, 10, true}, {11, 10, false}, {4095, 0, true}, {4096, 0, false}} {
		data := []byte("0")
		entries := []entry{{kind: Blob, data: data}}
		for i := range c.depth {
			next := []byte(fmt.Sprint(i + 1))
			entries = append(entries, entry{kind: RefDelta, base: blobID(t, data), data: deltaTo(len(data), next)})
			data = next
		}
		pack := packOf(t, entries...)
		opts := ReceiveOptions{Limits: Limits{DeltaDepth: c.limit}}
		if !c.ok {
			wantLimit(t, pack, opts, "delta depth")
			continue
		}
		got, err := receive(t, pack, opts)
		if err != nil {
			t.Errorf("depth %d, limit %d: %v", c.depth, c.limit, err)
			continue
		}
		pos, _ := got.Pack.Index().Find(blobID(t, data))
		if o, err := got.Pack.Object(got.Pack.Index().Offset(pos), nil, 0); err != nil || !bytes.Equal(o.Data, data) {
			t.Errorf("depth %d: read %q, %v", c.depth, o.Data, err)
		}
	}
}

func TestDeltaCycle(t *testing.T) {
	t.Parallel()
	a, b := []byte("a"), []byte("b")
	two := packOf(t,
		entry{kind: RefDelta, base: blobID(t, b), data: deltaTo(1, a)},
		entry{kind: RefDelta, base: blobID(t, a), data: deltaTo(1, b)})
	wantRefusal(t, two, ReceiveOptions{}, ErrMissingBase)
	self := packOf(t, entry{kind: RefDelta, base: blobID(t, a), data: deltaTo(1, a)})
	wantRefusal(t, self, ReceiveOptions{}, ErrMissingBase)

	// A reader of a pack whose index lies must not loop either.
	index := EncodeIndex(git.SHA1, []IndexEntry{{blobID(t, a), 12, 0}}, self[len(self)-20:])
	p := openPack(t, self, index)
	var limit *LimitError
	if _, err := p.Object(12, nil, 0); !errors.As(err, &limit) {
		t.Errorf("Object on a cycle: %v", err)
	}
	if _, _, err := p.Header(12); !errors.As(err, &limit) {
		t.Errorf("Header on a cycle: %v", err)
	}
}

// TestDeltaComb receives a long chain of which every link has one more delta on
// it, the worst tree for a walk that keeps what it comes back to, with next to
// no memory for that.
func TestDeltaComb(t *testing.T) {
	t.Parallel()
	const depth, size = 600, 10_000
	content := func(i int) []byte {
		return append(fmt.Appendf(nil, "%06d", i), make([]byte, size-6)...)
	}
	// change makes object i of any other: its number, and the rest of the base.
	change := func(i int) []byte {
		d := append(appendSize(appendSize(nil, size), size), 6)
		d = fmt.Appendf(d, "%06d", i)
		return append(d, 0x91|0x20, 6, byte((size-6)&0xff), byte((size-6)>>8))
	}
	for _, kind := range []Kind{OfsDelta, RefDelta} {
		entries := []entry{{kind: Blob, data: content(0)}}
		at := []int64{headerSize}
		end := int64(len(packOf(t, entries...)) - 20)
		add := func(i, base int) {
			e := entry{kind: kind, data: change(i), base: blobID(t, content(base))}
			if kind == OfsDelta {
				e.base = end - at[base]
			}
			entries = append(entries, e)
			at = append(at, end)
			end += int64(len(packOf(t, e)) - headerSize - 20)
		}
		for i := 1; i <= 2*depth; i += 2 {
			base := max(0, i-2)
			add(i, base)   // the next link
			add(i+1, base) // a leaf
		}
		pack := packOf(t, entries...)
		got, err := receive(t, pack, ReceiveOptions{Memory: 1 << 20, Workers: 3})
		if err != nil {
			t.Fatalf("kind %d: %v", kind, err)
		}
		if got.Deltas != 2*depth {
			t.Errorf("%d deltas, want %d", got.Deltas, 2*depth)
		}
		for i := range at {
			if _, ok := got.Pack.Index().Find(blobID(t, content(i))); !ok {
				t.Fatalf("object %d is missing", i)
			}
		}
	}
}

func TestMissingBase(t *testing.T) {
	t.Parallel()
	pack := packOf(t, entry{kind: RefDelta, base: blobID(t, []byte("x")), data: deltaTo(1, []byte("y"))})
	wantRefusal(t, pack, ReceiveOptions{}, ErrMissingBase)
	_, err := receive(t, pack, ReceiveOptions{Base: func(context.Context, git.ObjectID) (git.Object, error) {
		return git.Object{Type: git.BlobObject, Data: []byte("z")}, nil
	}})
	if err == nil || !strings.Contains(err.Error(), "the object there is") {
		t.Errorf("a Base that gives another object: %v", err)
	}
}

func TestThinBaseThatIsInThePackToo(t *testing.T) {
	t.Parallel()
	x, y, z := []byte("x"), []byte("yy"), []byte("zzz")
	ids := map[git.ObjectID][]byte{blobID(t, x): x, blobID(t, y): y}
	// y comes as a delta on x, which is not in the pack; z builds on y.
	pack := packOf(t,
		entry{kind: RefDelta, base: blobID(t, y), data: deltaTo(len(y), z)},
		entry{kind: RefDelta, base: blobID(t, x), data: deltaTo(len(x), y)})
	got, err := receive(t, pack, ReceiveOptions{Base: func(_ context.Context, id git.ObjectID) (git.Object, error) {
		return git.Object{Type: git.BlobObject, Data: ids[id]}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	if got.Bases != 1 || got.Objects != 3 {
		t.Errorf("%d bases, %d objects; want 1, 3", got.Bases, got.Objects)
	}
	wantObjects(t, got.Pack, map[git.ObjectID]git.Object{
		blobID(t, x): {Type: git.BlobObject, Data: x},
		blobID(t, y): {Type: git.BlobObject, Data: y},
		blobID(t, z): {Type: git.BlobObject, Data: z},
	}, nil)
	stored, err := got.Spool.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	indexPack(t, stored, "--strict")
}

func TestObjectCountLies(t *testing.T) {
	t.Parallel()
	one := packOf(t, entry{kind: Blob, data: []byte("x")})
	body := one[headerSize : len(one)-20]
	for _, n := range []uint32{0, 2, 1 << 31, 1<<32 - 1} {
		lie := withTrailer(append(packHeader(n), body...))
		wantRefusal(t, lie, ReceiveOptions{}, ErrMalformed)
	}
	wantLimit(t, withTrailer(append(packHeader(1<<32-1), body...)), ReceiveOptions{Limits: Limits{Objects: 1000}}, "objects")
	if got, err := receive(t, withTrailer(packHeader(0)), ReceiveOptions{}); err != nil || got.Objects != 0 {
		t.Errorf("empty pack: %v", err)
	}
}

func TestTrailer(t *testing.T) {
	t.Parallel()
	pack := packOf(t, entry{kind: Blob, data: []byte("x")})
	wantRefusal(t, append(bytes.Clone(pack), 'x'), ReceiveOptions{}, ErrMalformed)
	wantRefusal(t, append(bytes.Clone(pack), pack...), ReceiveOptions{}, ErrMalformed)
	bad := bytes.Clone(pack)
	bad[len(bad)-1] ^= 1
	wantRefusal(t, bad, ReceiveOptions{}, ErrMalformed)
}

func TestDuplicateObject(t *testing.T) {
	t.Parallel()
	x, y := []byte("x"), []byte("y")
	wantRefusal(t, packOf(t, entry{kind: Blob, data: x}, entry{kind: Blob, data: x}), ReceiveOptions{}, ErrDuplicate)
	twice := packOf(t,
		entry{kind: Blob, data: x}, entry{kind: Blob, data: x},
		entry{kind: RefDelta, base: blobID(t, x), data: deltaTo(1, y)})
	wantRefusal(t, twice, ReceiveOptions{}, ErrDuplicate)
	again := packOf(t,
		entry{kind: Blob, data: x}, entry{kind: Blob, data: y},
		entry{kind: RefDelta, base: blobID(t, x), data: deltaTo(1, y)})
	wantRefusal(t, again, ReceiveOptions{}, ErrDuplicate)
}

func TestUnknownType(t *testing.T) {
	t.Parallel()
	for _, kind := range []Kind{0, 5} {
		wantRefusal(t, packOf(t, entry{kind: kind, data: []byte("x")}), ReceiveOptions{}, ErrMalformed)
	}
}

func TestTruncatedStream(t *testing.T) {
	t.Parallel()
	x := bytes.Repeat([]byte("some text "), 30)
	pack := packOf(t,
		entry{kind: Blob, data: x},
		entry{kind: RefDelta, base: blobID(t, x), data: deltaTo(len(x), []byte("y"))},
		entry{kind: OfsDelta, base: int64(1 << 20), data: []byte("never read")})
	for n := range len(pack) {
		wantRefusal(t, pack[:n], ReceiveOptions{}, ErrMalformed)
	}
	broken := io.MultiReader(bytes.NewReader(pack[:40]), iotest.ErrReader(io.ErrClosedPipe))
	if _, err := receiveFrom(t, broken, ReceiveOptions{}); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("stream that fails: %v", err)
	}
}

func TestOffsetDeltaBase(t *testing.T) {
	t.Parallel()
	x := []byte("xxxxxxxxxxxxxxxxxxxxxxxxxx")
	first := entry{kind: Blob, data: x}
	length := int64(len(packOf(t, first)) - headerSize - 20)
	delta := deltaTo(len(x), []byte("y"))
	if _, err := receive(t, packOf(t, first, entry{kind: OfsDelta, base: length, data: delta}), ReceiveOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, distance := range []int64{1, length - 1, length + 1, length + 12, length + 13, 1 << 40, 1 << 55} {
		pack := packOf(t, first, entry{kind: OfsDelta, base: distance, data: delta})
		wantRefusal(t, pack, ReceiveOptions{}, ErrMalformed)
	}
	wantRefusal(t, packOf(t, first, entry{kind: OfsDelta, base: int64(0), data: delta}), ReceiveOptions{}, ErrMalformed)
}

func TestMalformedDelta(t *testing.T) {
	t.Parallel()
	x := []byte("0123456789")
	for _, delta := range [][]byte{
		{}, {10}, {0x80}, {10, 0x80}, {11, 1, 1, 'a'}, {10, 2, 1, 'a'}, {10, 1, 2, 'a', 'b'}, {10, 1, 2, 'a'},
		{10, 1, 0}, {10, 1, 0x91}, {10, 1, 0x91, 10, 1}, {10, 5, 0x91, 6, 5}, {10, 1, 0x81, 0},
		bytes.Repeat([]byte{0xff}, 30),
	} {
		if _, err := ApplyDelta(x, delta, 0); !errors.Is(err, ErrMalformed) {
			t.Errorf("delta %x: %v", delta, err)
		}
		pack := packOf(t, entry{kind: Blob, data: x}, entry{kind: RefDelta, base: blobID(t, x), data: delta})
		wantRefusal(t, pack, ReceiveOptions{}, ErrMalformed)
	}
}

// TestCollision holds what a test without a collision attack on a whole Git
// object can: ids come from git.Hasher, which detects attacks, and from
// nothing else, and its refusal can be told from others.
func TestCollision(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") || name == "checksum.go" {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range file.Imports {
			if strings.HasPrefix(i.Path.Value, `"crypto/`) {
				t.Errorf("%s imports %s: only trailers may be hashed without collision detection", name, i.Path.Value)
			}
		}
	}
	refused := fmt.Errorf("object 1 of 1: %w", &ObjectError{Type: git.BlobObject, Err: git.ErrCollision})
	if !errors.Is(refused, git.ErrCollision) {
		t.Error("ErrCollision is not in the chain")
	}
}

func TestCheckRefuses(t *testing.T) {
	t.Parallel()
	commit := []byte("tree 0\n")
	wrong := errors.New("wrong")
	opts := ReceiveOptions{Check: func(git.ObjectType, []byte) error { return wrong }}
	wantRefusal(t, packOf(t, entry{kind: Commit, data: commit}), opts, wrong)
	x := []byte("x")
	if _, err := receive(t, packOf(t, entry{kind: Blob, data: x}), opts); err != nil {
		t.Errorf("blobs are checked: %v", err)
	}
	id, err := git.HashObject(git.SHA1, git.CommitObject, commit)
	if err != nil {
		t.Fatal(err)
	}
	opts.Check = func(_ git.ObjectType, data []byte) error {
		if bytes.Equal(data, x) {
			return wrong
		}
		return nil
	}
	wantRefusal(t, packOf(t, entry{kind: Commit, data: commit}, entry{kind: RefDelta, base: id, data: deltaTo(len(commit), x)}), opts, wrong)
}

func TestReceiveLimits(t *testing.T) {
	t.Parallel()
	pack := packObjects(t, history(t, 10, 3))
	for _, c := range []struct {
		name string
		Limits
	}{
		{"pack size", Limits{PackSize: int64(len(pack)) - 1}},
		{"object size", Limits{ObjectSize: 50}},
		{"objects", Limits{Objects: 5}},
		{"inflated size", Limits{Inflated: 5000}},
	} {
		wantLimit(t, pack, ReceiveOptions{Limits: c.Limits}, c.name)
	}
}

func TestReceiveIsCancelled(t *testing.T) {
	t.Parallel()
	pack := packObjects(t, history(t, 30, 3), "--delta-base-offset")
	cause := errors.New("enough")
	for n := range 5 {
		ctx, cancel := context.WithCancelCause(t.Context())
		left := atomic.Int64{}
		left.Store(int64(n * 20))
		_, err := Receive(ctx, bytes.NewReader(pack), ReceiveOptions{Format: git.SHA1, Check: func(git.ObjectType, []byte) error {
			if left.Add(-1) < 0 {
				cancel(cause)
			}
			return nil
		}})
		cancel(nil)
		if !errors.Is(err, cause) {
			t.Errorf("after %d objects: %v", n*20, err)
		}
	}
}

func TestLargeObjects(t *testing.T) {
	t.Parallel()
	large := bytes.Repeat([]byte("a line of a very large file\n"), 620<<10) // 17 MiB
	second := append([]byte("another head\n"), large...)
	delta := appendSize(appendSize(nil, int64(len(large))), int64(len(second)))
	delta = append(append(delta, 13), "another head\n"...)
	for off := 0; off < len(large); off += 0xffff {
		n := min(0xffff, len(large)-off)
		delta = append(delta, 0x80|0x3f, byte(off), byte(off>>8), byte(off>>16), byte(off>>24), byte(n), byte(n>>8))
	}
	third := []byte("small")
	pack := packOf(t,
		entry{kind: Blob, data: large},
		entry{kind: RefDelta, base: blobID(t, large), data: delta},
		entry{kind: RefDelta, base: blobID(t, second), data: deltaTo(len(second), third)},
		entry{kind: Tree, data: second})
	got, err := receive(t, pack, ReceiveOptions{Memory: 1})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(indexPack(t, pack), got.Index) {
		t.Error("index differs from git index-pack")
	}
	for _, data := range [][]byte{large, second, third} {
		pos, ok := got.Pack.Index().Find(blobID(t, data))
		if !ok {
			t.Fatal("an object is missing")
		}
		off := got.Pack.Index().Offset(pos)
		for _, cache := range []Cache{nil, &mapCache{}} {
			o, err := got.Pack.Object(off, cache, 0)
			if err != nil || !bytes.Equal(o.Data, data) {
				t.Fatalf("Object: %d bytes, %v", len(o.Data), err)
			}
			r, err := got.Pack.Open(off, cache)
			if err != nil {
				t.Fatal(err)
			}
			if content, err := io.ReadAll(r); err != nil || !bytes.Equal(content, data) {
				t.Errorf("Open: %d bytes, %v", len(content), err)
			}
			r.Close()
			checkCopy(t, got.Pack, off, cache, data)
		}
		var limit *LimitError
		if _, err := got.Pack.Object(off, nil, int64(len(data))-1); !errors.As(err, &limit) {
			t.Errorf("over the limit: %v", err)
		}
	}
}
