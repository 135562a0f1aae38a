package storagetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
)

// TestBucket is the definition of cairn.Bucket and, for a bucket that is one,
// of cairn.FileBucket. open returns an empty bucket and sees to its end.
func TestBucket(t *testing.T, open func(testing.TB) cairn.Bucket) {
	for name, run := range bucketCases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, bucket{open(t), t})
		})
	}
	for name, run := range fileBucketCases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := open(t)
			if files, ok := b.(cairn.FileBucket); ok {
				run(t, bucket{b, t}, files)
			}
		})
	}
}

// bucket is the bucket under test with the test that it serves.
type bucket struct {
	cairn.Bucket
	t *testing.T
}

// put stores bytes, which must succeed.
func (b bucket) put(key string, data []byte) {
	b.t.Helper()
	if err := b.Put(b.t.Context(), key, bytes.NewReader(data), int64(len(data))); err != nil {
		b.t.Fatalf("put %s: %v", key, err)
	}
}

// get reads a range, which must succeed.
func (b bucket) get(key string, offset, length int64) []byte {
	b.t.Helper()
	data, err := b.tryGet(key, offset, length)
	if err != nil {
		b.t.Fatalf("get %s: %v", key, err)
	}
	return data
}

func (b bucket) tryGet(key string, offset, length int64) ([]byte, error) {
	r, err := b.Get(b.t.Context(), key, offset, length)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(r)
	return data, errors.Join(err, r.Close())
}

// holds tells that there are exactly these keys.
func (b bucket) holds(keys ...string) {
	b.t.Helper()
	slices.Sort(keys)
	sameList(b.t, "keys in the bucket", b.keys("", "", 10000), keys)
}

func (b bucket) keys(prefix, after string, limit int) (keys []string) {
	b.t.Helper()
	items, err := b.List(b.t.Context(), prefix, after, limit)
	if err != nil {
		b.t.Fatalf("list %q: %v", prefix, err)
	}
	for _, item := range items {
		keys = append(keys, item.Key)
	}
	return keys
}

// refuse tells that err is of a kind.
func (b bucket) refuse(what string, err error, kind cairn.Kind) {
	b.t.Helper()
	if !errors.Is(err, kind) {
		b.t.Fatalf("%s: got error %v, want %q", what, err, string(kind))
	}
}

var bucketCases = map[string]func(*testing.T, bucket){
	"stored, read, described": func(t *testing.T, b bucket) {
		before := time.Now().Add(-time.Minute)
		for _, size := range []int{0, 1, 100, 3 << 20} {
			key, data := fmt.Sprintf("org/packs/%d.pack", size), random(size)
			b.put(key, data)
			if !bytes.Equal(b.get(key, 0, -1), data) {
				t.Fatalf("%s: got other bytes than were stored", key)
			}
			item, err := b.Stat(t.Context(), key)
			if err != nil {
				t.Fatal(err)
			}
			if item.StoredAt.Before(before) || item.StoredAt.After(time.Now().Add(time.Minute)) {
				t.Errorf("%s: stored at %v", key, item.StoredAt)
			}
			same(t, "item", item, cairn.BucketItem{Key: key, Size: int64(size), StoredAt: item.StoredAt})
		}
	},
	"ranges": func(t *testing.T, b bucket) {
		data := random(1000)
		b.put("k", data)
		for _, c := range []struct{ offset, length int64 }{
			{0, 10}, {0, 0}, {990, 10}, {990, 11}, {990, -1}, {500, 1 << 60}, {999, 1}, {1000, 1}, {1000, -1}, {2000, 5}, {1 << 40, -1}, {0, -7},
		} {
			from := min(c.offset, 1000)
			to := int64(1000)
			if c.length >= 0 {
				to = from + min(c.length, 1000-from)
			}
			if got := b.get("k", c.offset, c.length); !bytes.Equal(got, data[from:to]) {
				t.Errorf("get %d bytes from %d: got %d, want those from %d to %d", c.length, c.offset, len(got), from, to)
			}
		}
		_, err := b.tryGet("k", -1, 1)
		b.refuse("get from -1", err, cairn.Invalid)
	},
	"to a socket": func(t *testing.T, b bucket) {
		data := random(100_000)
		b.put("k", data)
		r, err := b.Get(t.Context(), "k", 10, 50_000)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		first := make([]byte, 100)
		if _, err := io.ReadFull(r, first); err != nil {
			t.Fatal(err)
		}
		var rest bytes.Buffer
		if n, err := io.Copy(&rest, r); err != nil || n != 49_900 {
			t.Fatalf("copy: got %d, %v, want 49900 bytes", n, err)
		}
		if !bytes.Equal(append(first, rest.Bytes()...), data[10:50_010]) {
			t.Error("got other bytes than were stored")
		}
	},
	"absent": func(t *testing.T, b bucket) {
		b.put("a/b", nil)
		for _, key := range []string{"a", "a/b/c", "b", "a/bb"} {
			_, err := b.tryGet(key, 0, -1)
			b.refuse("get "+key, err, cairn.NotFound)
			_, err = b.Stat(t.Context(), key)
			b.refuse("stat "+key, err, cairn.NotFound)
			if err := b.Delete(t.Context(), key); err != nil {
				t.Errorf("delete %s: %v", key, err)
			}
		}
		b.holds("a/b")
	},
	"keys that are none": func(t *testing.T, b bucket) {
		long := strings.Repeat("a", cairn.MaxBucketSegment)
		for _, key := range []string{
			"", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "../a", "a/./b", "...", "a b", "a\x00", "a\\b", "é", "a+b", "a:b", "a%2fb", "a\n",
			long + "a", strings.Repeat(long+"/", 6) + "a",
		} {
			b.refuse("put "+key, b.Put(t.Context(), key, strings.NewReader("x"), 1), cairn.Invalid)
			_, err := b.tryGet(key, 0, -1)
			b.refuse("get "+key, err, cairn.Invalid)
			_, err = b.Stat(t.Context(), key)
			b.refuse("stat "+key, err, cairn.Invalid)
			b.refuse("delete "+key, b.Delete(t.Context(), key), cairn.Invalid)
		}
		b.holds()
		for _, key := range []string{long, strings.Repeat(long+"/", 5) + "a", ".a", "-", "_", "..a", "A.b-C_d/0", "tmp", "items", "a.lock"} {
			b.put(key, []byte(key))
			same(t, key, string(b.get(key, 0, -1)), key)
		}
	},
	"readers that end early or late store nothing": func(t *testing.T, b bucket) {
		for _, c := range []struct {
			name string
			r    io.Reader
			size int64
		}{
			{"early", strings.NewReader("abc"), 4},
			{"empty", strings.NewReader(""), 1},
			{"late", strings.NewReader("abc"), 2},
			{"late after nothing", strings.NewReader("abc"), 0},
			{"late, byte by byte", iotest.OneByteReader(strings.NewReader("abc")), 2},
			{"much too early", strings.NewReader("abc"), 1 << 50},
			{"negative", strings.NewReader("abc"), -1},
		} {
			b.refuse(c.name, b.Put(t.Context(), "k", c.r, c.size), cairn.Invalid)
		}
		broken := errors.New("broken")
		r := io.MultiReader(strings.NewReader("abc"), iotest.ErrReader(broken))
		for _, size := range []int64{3, 10} {
			if err := b.Put(t.Context(), "k", r, size); !errors.Is(err, broken) {
				t.Errorf("put from a broken reader: got error %v", err)
			}
		}
		b.holds()
		for _, r := range []io.Reader{iotest.DataErrReader(strings.NewReader("abc")), iotest.OneByteReader(strings.NewReader("abc"))} {
			if err := b.Put(t.Context(), "good", r, 3); err != nil {
				t.Errorf("put from an odd reader: %v", err)
			}
			same(t, "bytes", string(b.get("good", 0, -1)), "abc")
			if err := b.Delete(t.Context(), "good"); err != nil {
				t.Error(err)
			}
		}
	},
	"immutable": func(t *testing.T, b bucket) {
		b.put("k", []byte("abc"))
		b.put("k", []byte("abc"))
		b.refuse("other bytes", b.Put(t.Context(), "k", strings.NewReader("abcd"), 4), cairn.Conflict)
		same(t, "bytes", string(b.get("k", 0, -1)), "abc")
		if err := b.Delete(t.Context(), "k"); err != nil {
			t.Fatal(err)
		}
		b.put("k", []byte("abcd"))
		same(t, "bytes after deletion", string(b.get("k", 0, -1)), "abcd")
	},
	"one key, many at once": func(t *testing.T, b bucket) {
		data := random(100_000)
		var all sync.WaitGroup
		for range 16 {
			all.Go(func() {
				if err := b.Put(t.Context(), "a/k", bytes.NewReader(data), int64(len(data))); err != nil {
					t.Errorf("put: %v", err)
				}
				if got, err := b.tryGet("a/k", 0, -1); err != nil || !bytes.Equal(got, data) {
					t.Errorf("get what was put: %d bytes, %v", len(got), err)
				}
			})
		}
		all.Wait()
		b.holds("a/k")
	},
	"what is seen is whole": func(t *testing.T, b bucket) {
		data := random(300_000)
		var putting sync.WaitGroup
		for i := range 20 {
			putting.Go(func() {
				r := iotest.HalfReader(bytes.NewReader(data))
				if err := b.Put(t.Context(), fmt.Sprintf("a/%d", i), r, int64(len(data))); err != nil {
					t.Errorf("put: %v", err)
				}
			})
		}
		done := make(chan struct{})
		go func() { putting.Wait(); close(done) }()
		for more := true; more; {
			select {
			case <-done:
				more = false
			default:
			}
			items, err := b.List(t.Context(), "a/", "", 100)
			if err != nil {
				t.Errorf("list: %v", err)
			}
			for _, item := range items {
				same(t, "size", item.Size, int64(len(data)))
			}
			if n := len(items); n > 0 && !bytes.Equal(b.get(items[n-1].Key, 0, -1), data) {
				t.Error("got other bytes than were stored")
			}
		}
		same(t, "number of items", len(b.keys("", "", 100)), 20)
	},
	"put and deleted at once": func(t *testing.T, b bucket) {
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				for j := range 30 {
					key := fmt.Sprintf("a/b%d/k%d", j%2, i)
					if err := b.Put(t.Context(), key, strings.NewReader("x"), 1); err != nil {
						t.Errorf("put: %v", err)
					}
					if err := b.Delete(t.Context(), key); err != nil {
						t.Errorf("delete: %v", err)
					}
					if _, err := b.Stat(t.Context(), key); !errors.Is(err, cairn.NotFound) {
						t.Errorf("stat after delete: got error %v", err)
					}
				}
			})
		}
		all.Wait()
		b.holds()
	},
	"deleted": func(t *testing.T, b bucket) {
		b.put("a/b", []byte("x"))
		b.put("a", []byte("y"))
		for range 2 {
			if err := b.Delete(t.Context(), "a/b"); err != nil {
				t.Fatal(err)
			}
		}
		_, err := b.Stat(t.Context(), "a/b")
		b.refuse("stat", err, cairn.NotFound)
		b.holds("a")
	},
	"listed in byte order, by page": func(t *testing.T, b bucket) {
		keys := []string{
			"0", "A", "a", "a-", "a-b", "a.", "a.b", "a/b", "a/b-c", "a/b.c", "a/b/c", "a/b/d", "a/bc", "a0", "ab", "ab-c", "ab.c",
			"ab/c", "ab/c/d", "abc", "abc/d", "abd", "b/a/a/a", "b/a/b", "b/aa", "b/c", "c-d/e", "c/d", "c0/d",
		}
		for i := range keys {
			b.put(keys[(i*7)%len(keys)], []byte(keys[(i*7)%len(keys)]))
		}
		b.holds(keys...)
		prefixes := []string{"", "a", "a/", "a/b", "a/b/", "ab", "abc", "b/a", "b/a/a/", "c", "c-", "d", "a/b/c", "a/b/c/", "/", "..", "../", "a//", "é"}
		afters := append(slices.Clone(keys), "", "a/", "a/b/", "ab/", "aa", "b", "zz", "-", "a/b/c/d")
		for _, prefix := range prefixes {
			for _, after := range afters {
				for _, limit := range []int{0, 1, 2, 100} {
					var want []string
					for _, key := range keys {
						if strings.HasPrefix(key, prefix) && key > after && len(want) < limit {
							want = append(want, key)
						}
					}
					sameList(t, fmt.Sprintf("list %q after %q", prefix, after), b.keys(prefix, after, limit), want)
				}
			}
		}
		items, err := b.List(t.Context(), "a/b/c", "", 1)
		if err != nil {
			t.Fatal(err)
		}
		item, err := b.Stat(t.Context(), "a/b/c")
		if err != nil {
			t.Fatal(err)
		}
		same(t, "item", items, []cairn.BucketItem{item})
	},
	"random keys are listed whole": func(t *testing.T, b bucket) {
		rnd := rand.New(rand.NewPCG(1, 2))
		var keys []string
		for range 300 {
			segments := make([]string, 1+rnd.IntN(3))
			for i := range segments {
				for range 1 + rnd.IntN(3) {
					segments[i] += string("a-b0_"[rnd.IntN(5)])
				}
			}
			keys = append(keys, strings.Join(segments, "/"))
		}
		slices.Sort(keys)
		keys = slices.Compact(keys)
		for _, key := range keys {
			b.put(key, nil)
		}
		var got []string
		for after := ""; ; after = got[len(got)-1] {
			page := b.keys("", after, 17)
			if len(page) == 0 {
				break
			}
			got = append(got, page...)
		}
		sameList(t, "all pages", got, keys)
	},
	"contexts that are done": func(t *testing.T, b bucket) {
		b.put("k", []byte("x"))
		done, cancel := context.WithCancel(t.Context())
		cancel()
		for name, err := range map[string]error{
			"put":    b.Put(done, "l", strings.NewReader("x"), 1),
			"get":    func() error { _, err := b.Get(done, "k", 0, -1); return err }(),
			"stat":   func() error { _, err := b.Stat(done, "k"); return err }(),
			"list":   func() error { _, err := b.List(done, "", "", 1); return err }(),
			"delete": b.Delete(done, "k"),
		} {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%s: got error %v, want the context's", name, err)
			}
		}
		b.holds("k")
	},
	"a context that is done while putting": func(t *testing.T, b bucket) {
		ctx, cancel := context.WithCancel(t.Context())
		r := io.MultiReader(bytes.NewReader(random(100_000)), readerFunc(func(p []byte) (int, error) {
			cancel()
			return copy(p, "more"), nil
		}))
		if err := b.Put(ctx, "k", r, 1<<40); !errors.Is(err, context.Canceled) {
			t.Errorf("got error %v, want the context's", err)
		}
		b.holds()
	},
}

var fileBucketCases = map[string]func(*testing.T, bucket, cairn.FileBucket){
	"opened as a file, readable after deletion": func(t *testing.T, b bucket, files cairn.FileBucket) {
		b.put("k", []byte("abc"))
		f, err := files.Open(t.Context(), "k")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := b.Delete(t.Context(), "k"); err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(f)
		if err != nil || string(data) != "abc" {
			t.Errorf("got %q, %v", data, err)
		}
		_, err = files.Open(t.Context(), "k")
		b.refuse("open", err, cairn.NotFound)
		_, err = files.Open(t.Context(), "../k")
		b.refuse("open", err, cairn.Invalid)
	},
	"stored from a file": func(t *testing.T, b bucket, files cairn.FileBucket) {
		data := random(100_000)
		for _, key := range []string{"a/k", "a/k", "l"} {
			path := filepath.Join(t.TempDir(), "f")
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
			f, err := os.OpenFile(path, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.Seek(10, io.SeekStart); err != nil { // where the caller stands does not matter
				t.Fatal(err)
			}
			if err := files.PutFile(t.Context(), key, f); err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(f.Close(), os.Remove(path)); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(b.get(key, 0, -1), data) {
				t.Error("got other bytes than were stored")
			}
		}
		b.holds("a/k", "l")
	},
	"other bytes from a file": func(t *testing.T, b bucket, files cairn.FileBucket) {
		b.put("k", []byte("abc"))
		path := filepath.Join(t.TempDir(), "f")
		if err := os.WriteFile(path, []byte("abcd"), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		b.refuse("put", files.PutFile(t.Context(), "k", f), cairn.Conflict)
		b.refuse("put", files.PutFile(t.Context(), "a//b", f), cairn.Invalid)
		same(t, "bytes", string(b.get("k", 0, -1)), "abc")
	},
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// random returns bytes that look random and are the same for the same size.
func random(size int) []byte {
	data := make([]byte, size)
	source := rand.NewChaCha8([32]byte{byte(size), byte(size >> 8), byte(size >> 16)})
	source.Read(data)
	return data
}
