package odb_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/git/pack"
	"github.com/cairn-storage/cairn/internal/git/protocol"
	"github.com/cairn-storage/cairn/internal/gittest"
	"github.com/cairn-storage/cairn/internal/odb"
)

// packedBy makes a pack of exactly these objects with stock git.
func packedBy(t testing.TB, r *gittest.Repo, ids []string) []byte {
	t.Helper()
	cmd := gittest.Command(t, r.Dir, "pack-objects", "--stdout", "-q")
	cmd.Stdin = strings.NewReader(strings.Join(append(ids, ""), "\n"))
	out, err := cmd.Output()
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		t.Fatalf("pack-objects: %s", failed.Stderr)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// accept pushes a pack and refs as the service does.
func accept(t testing.TB, f *fixture, key cairn.RepositoryKey, data []byte, refs map[string]string) {
	t.Helper()
	sn := f.snapshot(t, key)
	q, err := sn.Receive(t.Context(), bytes.NewReader(data), odb.ReceiveOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	u := odb.Update{}
	for name, id := range refs {
		if err := q.Connected(t.Context(), git.MustParseObjectID(id)); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		u.Refs = append(u.Refs, cairn.RefUpdate{Name: git.RefName(name), New: git.MustParseObjectID(id)})
	}
	staged, ok, err := q.Stage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if ok {
		u.Packs = append(u.Packs, staged)
	}
	if _, err := f.store.Apply(t.Context(), key, u); err != nil {
		t.Fatal(err)
	}
}

func reachableFrom(r *gittest.Repo, args ...string) []string {
	return strings.Fields(r.Git(append([]string{"rev-list", "--objects", "--no-object-names"}, args...)...))
}

// sent makes the pack that answers a request and returns its objects.
func sent(t *testing.T, sn *odb.Snapshot, q *protocol.FetchRequest, base *gittest.Repo) map[string]bool {
	t.Helper()
	q.Version, q.Done, q.OfsDelta = 2, true, true
	negotiated, err := sn.Negotiate(t.Context(), odb.NormalView, q)
	if err != nil {
		t.Fatal(err)
	}
	quiet := func(string) {}
	plan, err := negotiated.PlanPack(t.Context(), quiet)
	if err != nil {
		t.Fatal(err)
	}
	var data bytes.Buffer
	if err := plan.Write(t.Context(), &data, quiet); err != nil {
		t.Fatal(err)
	}
	var again bytes.Buffer // with the checksum of the first time
	if err := plan.Write(t.Context(), &again, quiet); err != nil || !bytes.Equal(again.Bytes(), data.Bytes()) {
		t.Errorf("the second pack of a plan differs: %v", err)
	}
	received, err := pack.Receive(t.Context(), &data, pack.ReceiveOptions{Format: git.SHA1})
	if err != nil {
		t.Fatal(err)
	}
	defer received.Close()
	objects := map[string]bool{}
	for i := range received.Pack.Index().Len() {
		objects[received.Pack.Index().ID(i).String()] = true
	}
	if int64(len(objects)) != plan.Len() {
		t.Errorf("plan of %d objects made a pack of %d", plan.Len(), len(objects))
	}
	return objects
}

// TestPlansAreWhole asks for random commits as a client that has random others,
// from packs in many pieces, and compares with what stock git says is needed.
func TestPlansAreWhole(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3) {
		f := newFixture(t)
		key := f.repository(t, "r")
		source := gittest.Random(t, seed, gittest.Options{Commits: 90, Skew: seed%2 == 1})
		random := rand.New(rand.NewPCG(seed, 2))
		// In pieces: each push brings a part of history, and some of what was there.
		commits := strings.Fields(source.Git("rev-list", "--reverse", "--topo-order", "--all"))
		refs := map[string]string{}
		for at := 0; at < len(commits); {
			next := min(len(commits), at+1+random.IntN(40))
			id := commits[next-1]
			name := fmt.Sprint("refs/heads/piece/", next)
			args := []string{id}
			for known := range refs {
				args = append(args, "^"+refs[known])
			}
			accept(t, f, key, packedBy(t, source, reachableFrom(source, args...)), map[string]string{name: id})
			refs[name] = id
			at = next
		}
		accept(t, f, key, packedBy(t, source, reachableFrom(source, "--all")), source.Refs())
		sn := f.snapshot(t, key)
		pick := func(n int) []git.ObjectID {
			var ids []git.ObjectID
			for range n {
				ids = append(ids, git.MustParseObjectID(commits[random.IntN(len(commits))]))
			}
			return ids
		}
		for range 16 {
			q := &protocol.FetchRequest{Wants: pick(1 + random.IntN(3)), Haves: pick(random.IntN(3))}
			var args, has []string
			for _, id := range q.Wants {
				args = append(args, id.String())
			}
			most := reachableFrom(source, args...)
			for _, id := range q.Haves {
				args = append(args, "^"+id.String())
				has = append(has, id.String())
			}
			var owned []string
			if len(has) > 0 {
				owned = reachableFrom(source, has...)
			}
			got := sent(t, sn, q, source)
			for _, id := range most {
				if !got[id] && !slices.Contains(owned, id) {
					t.Errorf("seed %d: want %v, have %v: %s is missing", seed, q.Wants, q.Haves, id)
				}
				delete(got, id)
			}
			for id := range got {
				t.Errorf("seed %d: want %v, have %v: %s was not asked for", seed, q.Wants, q.Haves, id)
			}
		}
	}
}

// TestEveryMissingObjectIsNoticed pushes a history without one of its objects,
// in turn with many.
func TestEveryMissingObjectIsNoticed(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	key := f.repository(t, "r")
	source := gittest.Random(t, 21, gittest.Options{})
	all := reachableFrom(source, "--all")
	random := rand.New(rand.NewPCG(21, 3))
	sn := f.snapshot(t, key)
	for range 24 {
		left := random.IntN(len(all))
		ids := slices.Concat(all[:left], all[left+1:])
		q, err := sn.Receive(t.Context(), bytes.NewReader(packedBy(t, source, ids)), odb.ReceiveOptions{})
		if err != nil {
			t.Fatal(err)
		}
		noticed := false
		for _, id := range source.Refs() {
			err := q.Connected(t.Context(), git.MustParseObjectID(id))
			if err != nil && !errors.Is(err, odb.ErrMissingObjects) {
				t.Fatal(err)
			}
			noticed = noticed || err != nil
		}
		if !noticed {
			t.Errorf("nobody noticed that %s is missing", all[left])
		}
		q.Close()
	}
}

// TestQuarantineLeavesNothing closes quarantines of large packs and looks for
// files.
func TestQuarantineLeavesNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(o *odb.Options) { o.InlineLimit = 1 })
	key := f.repository(t, "r")
	source := gittest.Random(t, 22, gittest.Options{Large: 3_000_000})
	data := packedBy(t, source, reachableFrom(source, "--all"))
	sn := f.snapshot(t, key)
	for _, cut := range []int{len(data), len(data) - 1, len(data) / 2, 40, 0} {
		q, err := sn.Receive(t.Context(), bytes.NewReader(data[:cut]), odb.ReceiveOptions{})
		if err == nil {
			q.Close()
		}
		if (err == nil) != (cut == len(data)) {
			t.Errorf("%d of %d bytes: error %v", cut, len(data), err)
		}
	}
	if list, err := f.bucket.List(t.Context(), "", "", 10); err != nil || len(list) > 0 {
		t.Errorf("the bucket holds %v, %v", list, err)
	}
}

// BenchmarkSmallPush measures what the server does for a push of one commit
// with three files in a repository of 2,000.
func BenchmarkSmallPush(b *testing.B) {
	f := newFixture(b)
	key := f.repository(b, "r")
	local := gittest.Init(b, gittest.Bare())
	files := gittest.Files{}
	for i := range 2000 {
		files[fmt.Sprintf("a%d/b%d/c%d/file%d", i%5, i%13, i%37, i)] = strings.Repeat(fmt.Sprintln("line", i), 40)
	}
	local.Commit("main", "first", files)
	accept(b, f, key, packedBy(b, local, reachableFrom(local, "main")), map[string]string{"refs/heads/main": local.RevParse("main")})
	const n = 200
	var packs [][]byte
	tips := []string{local.RevParse("main")}
	for i := range n {
		tips = append(tips, local.Commit("main", "more", gittest.Files{
			"a1/b1/c1/file1": fmt.Sprint(i), "a1/b1/c1/file2": fmt.Sprint("x", i), "a2/b2/c2/file2": fmt.Sprint(i, "y"),
		}))
		cmd := gittest.Command(b, local.Dir, "pack-objects", "--stdout", "-q", "--thin", "--revs")
		cmd.Stdin = strings.NewReader("main\n^main~1\n")
		out, err := cmd.Output()
		if err != nil {
			b.Fatal(err)
		}
		packs = append(packs, out)
	}
	i := 0
	for b.Loop() {
		if i == n {
			b.Fatal("the benchmark is for -benchtime 200x at most")
		}
		sn := f.snapshot(b, key)
		q, err := sn.Receive(b.Context(), bytes.NewReader(packs[i]), odb.ReceiveOptions{})
		if err == nil {
			err = q.Connected(b.Context(), git.MustParseObjectID(tips[i+1]))
		}
		if err != nil {
			b.Fatal(err)
		}
		staged, _, err := q.Stage(b.Context())
		q.Close()
		if err == nil {
			_, err = f.store.Apply(b.Context(), key, odb.Update{
				Packs: []odb.Staged{staged},
				Refs:  []cairn.RefUpdate{{Name: "refs/heads/main", Old: git.MustParseObjectID(tips[i]), New: git.MustParseObjectID(tips[i+1])}},
			})
		}
		if err != nil {
			b.Fatal(err)
		}
		i++
	}
}
