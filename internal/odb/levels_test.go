package odb_test

import (
	"bytes"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/git/protocol"
	"github.com/cairn-storage/cairn/internal/gittest"
	"github.com/cairn-storage/cairn/internal/odb"
)

// inBucket keeps all packs in the bucket, where they may have sidecars.
func inBucket(o *odb.Options) { o.InlineLimit = 1 }

// tipsOf returns the ids that names of refs have.
func tipsOf(source *gittest.Repo, names ...string) []git.ObjectID {
	var ids []git.ObjectID
	for _, name := range names {
		ids = append(ids, git.MustParseObjectID(source.RevParse(name)))
	}
	return ids
}

// arrange gives a repository the packs and the closure that a full repack with
// these levels would, made by stock git, and beside them a pack of the rest.
func arrange(t *testing.T, f *fixture, key cairn.RepositoryKey, source *gittest.Repo, tips [][]git.ObjectID, rest []string) {
	t.Helper()
	before := f.snapshot(t, key)
	bodies := packBodies{}
	var old []cairn.PackID
	var added []cairn.Pack
	f.update(t, func(tx cairn.Tx) error {
		manifest, err := tx.Packs().Manifest(key)
		for _, p := range manifest {
			old = append(old, p.ID)
		}
		return err
	})
	stage := func(ids []string) cairn.Pack {
		cmd := gittest.Command(t, source.Dir, "pack-objects", "--stdout", "-q", "--delta-base-offset")
		cmd.Stdin = strings.NewReader(strings.Join(append(ids, ""), "\n"))
		data, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		q, err := before.Receive(t.Context(), bytes.NewReader(data), odb.ReceiveOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer q.Close()
		staged, _, err := q.Stage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		added = append(added, staged.Pack)
		bodies[staged.ID] = data[12 : len(data)-sha1.Size]
		return staged.Pack
	}
	types := map[string]string{}
	for _, o := range source.Objects() {
		types[o.ID] = o.Type
	}
	var levels []odb.TestLevel
	var all, historyPacks []cairn.Pack
	done := map[string]bool{}
	for _, level := range tips {
		var args []string
		for _, id := range level {
			args = append(args, id.String())
		}
		var history, blobs []string
		for _, id := range reachableFrom(source, args...) {
			switch {
			case done[id]:
			case types[id] == "blob":
				blobs = append(blobs, id)
			default:
				history = append(history, id)
			}
			done[id] = true
		}
		l := odb.TestLevel{Tips: level}
		if len(history) > 0 {
			p := stage(history)
			l.History, all, historyPacks = []cairn.PackID{p.ID}, append(all, p), append(historyPacks, p)
		}
		for half := range slices.Chunk(blobs, max(1, (len(blobs)+1)/2)) {
			p := stage(half)
			l.Blobs, all = append(l.Blobs, p.ID), append(all, p)
		}
		l.Checksum, l.HistoryChecksum = bodies.checksum(all), bodies.checksum(historyPacks)
		levels = append(levels, l)
	}
	if len(rest) > 0 {
		stage(rest)
	}
	added[0].Sidecars = true
	name, data, err := odb.EncodeClosure(added[0], levels)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.bucket.Put(t.Context(), name, bytes.NewReader(data), int64(len(data))); err != nil {
		t.Fatal(err)
	}
	f.update(t, func(tx cairn.Tx) error {
		if _, err := tx.Repositories().Advance(key); err != nil {
			return err
		}
		return tx.Packs().Replace(key, old, added, f.clock)
	})
}

// packBodies are the entries of packs as they are stored.
type packBodies map[cairn.PackID][]byte

// checksum is that of the pack made of these, one after the other.
func (b packBodies) checksum(packs []cairn.Pack) git.ObjectID {
	h := sha1.New()
	count := int64(0)
	for _, p := range packs {
		count += p.Objects
	}
	h.Write(binary.BigEndian.AppendUint32([]byte("PACK\x00\x00\x00\x02"), uint32(count)))
	for _, p := range packs {
		h.Write(b[p.ID])
	}
	id, _ := git.ObjectIDFromBytes(h.Sum(nil))
	return id
}

// cloned plans a clone, checks that its pack is one that stock git takes and
// holds exactly what the wants lead to, and returns the plan.
func cloned(t *testing.T, sn *odb.Snapshot, source *gittest.Repo, filter string, wants ...git.ObjectID) *odb.PackPlan {
	t.Helper()
	parsed, err := protocol.ParseFilter(filter)
	if filter == "" {
		parsed, err = protocol.Filter{}, nil
	}
	if err != nil {
		t.Fatal(err)
	}
	q := &protocol.FetchRequest{Version: 2, Done: true, OfsDelta: true, Wants: wants, Filter: parsed}
	negotiated, err := sn.Negotiate(t.Context(), odb.NormalView, q)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := negotiated.PlanPack(t.Context(), func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	var data, again bytes.Buffer
	for _, w := range []*bytes.Buffer{&data, &again} {
		if err := negotiated.WritePack(t.Context(), w, func(string) {}); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(data.Bytes(), again.Bytes()) {
		t.Error("the second clone gets other bytes")
	}
	check := "--strict" // that it is whole, and each object once
	if filter != "" {
		check = "--fsck-objects"
	}
	got := indexed(t, data.Bytes(), check)
	args := []string{"rev-list", "--objects", "--no-object-names"}
	if filter != "" {
		args = append(args, "--filter="+filter)
	}
	for _, id := range wants {
		args = append(args, id.String())
	}
	want := strings.Fields(source.Git(args...))
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%q of %v: got %d objects, want %d\ntoo many: %v\nmissing: %v", filter, wants, len(got), len(want), without(got, want), without(want, got))
	}
	return plan
}

func without(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(id string) bool { _, ok := slices.BinarySearch(b, id); return ok })
}

// indexed has stock git check a pack and returns its ids, in order.
func indexed(t *testing.T, data []byte, check string) []string {
	t.Helper()
	dir := t.TempDir()
	cmd := gittest.Command(t, dir, "index-pack", check, "--stdin", dir+"/x.pack")
	cmd.Dir = gittest.Init(t, gittest.Bare()).Dir
	cmd.Stdin = bytes.NewReader(data)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("index-pack: %v: %s", err, out)
	}
	var ids []string
	for line := range strings.Lines(gittest.GitInput(t, dir, string(readFile(t, dir+"/x.idx")), "show-index")) {
		ids = append(ids, strings.Fields(line)[1])
	}
	slices.Sort(ids)
	return ids
}

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestStoredLevelsAreSentWhole clones a repository in each of the ways in
// which its repacked levels may be sent.
func TestStoredLevelsAreSentWhole(t *testing.T) {
	t.Parallel()
	f := newFixture(t, inBucket)
	key := f.repository(t, "r")
	source := gittest.Random(t, 31, gittest.Options{})
	refs := source.Refs()
	accept(t, f, key, packedBy(t, source, reachableFrom(source, "--all")), refs)
	main := tipsOf(source, "main")
	others := idsOf(refs, "refs/heads/main")
	arrange(t, f, key, source, [][]git.ObjectID{main, others}, nil)
	sn := f.snapshot(t, key)
	if plan := cloned(t, sn, source, "", idsOf(refs)...); plan.WholePacks() != sn.PackCount() {
		t.Errorf("%d of %d packs are sent whole", plan.WholePacks(), sn.PackCount())
	}
	if plan := cloned(t, sn, source, "", main...); plan.WholePacks() != 3 {
		t.Errorf("of level 1 %d packs are sent whole, want 3", plan.WholePacks())
	}
	if plan := cloned(t, sn, source, "blob:none", main...); plan.WholePacks() != 1 {
		t.Errorf("of level 1 without blobs %d packs are sent whole, want 1", plan.WholePacks())
	}
	cloned(t, sn, source, "", others...) // which do not lead to main

	// New commits, and old contents that come again.
	parent := main[0]
	for i := range 3 {
		source.Commit("main", "more", gittest.Files{"new/file": fmt.Sprint(i), "old/copy": source.Git("cat-file", "blob", strings.Fields(source.Git("ls-tree", "-r", "main"))[2])})
	}
	tip := tipsOf(source, "main")
	data := packedBy(t, source, reachableFrom(source, "main", "^main~2"))
	push(t, f, key, data, cairn.RefUpdate{Name: "refs/heads/main", Old: parent, New: tip[0]})
	push(t, f, key, packedBy(t, source, reachableFrom(source, "main")), cairn.RefUpdate{Name: "refs/heads/again", New: tip[0]}) // all of it once more
	sn = f.snapshot(t, key)
	for _, filter := range []string{"", "blob:none"} {
		if plan := cloned(t, sn, source, filter, append(tip, others...)...); plan.WholePacks() < 2 {
			t.Errorf("with new commits %d packs are sent whole", plan.WholePacks())
		}
		if plan := cloned(t, sn, source, filter, tip...); plan.WholePacks() < 1 {
			t.Errorf("with new commits %d packs of level 1 are sent whole", plan.WholePacks())
		}
	}
	for _, filter := range []string{"blob:limit=100", "tree:1", "object:type=commit"} {
		cloned(t, sn, source, filter, tip...)
	}
}

// idsOf returns the ids of refs but these, each once.
func idsOf(refs map[string]string, but ...string) []git.ObjectID {
	var ids []git.ObjectID
	for _, name := range slices.Sorted(maps.Keys(refs)) {
		if id := git.MustParseObjectID(refs[name]); !slices.Contains(but, name) && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// push is accept with any ref update.
func push(t *testing.T, f *fixture, key cairn.RepositoryKey, data []byte, updates ...cairn.RefUpdate) {
	t.Helper()
	u := odb.Update{Refs: updates}
	if data != nil {
		q, err := f.snapshot(t, key).Receive(t.Context(), bytes.NewReader(data), odb.ReceiveOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer q.Close()
		staged, _, err := q.Stage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		u.Packs = append(u.Packs, staged)
	}
	if _, err := f.store.Apply(t.Context(), key, u); err != nil {
		t.Fatal(err)
	}
}

// TestStoredLevelsNeverWidenAccess clones where a level holds more than the
// client may have: what a deleted branch had, what a hidden ref has, tags that
// nobody asked for, and what a fork does not share.
func TestStoredLevelsNeverWidenAccess(t *testing.T) {
	t.Parallel()
	f := newFixture(t, inBucket)
	key := f.repository(t, "r")
	source := gittest.Init(t, gittest.Bare())
	for i := range 4 {
		source.Commit("main", fmt.Sprint("main ", i), gittest.Files{fmt.Sprint("f", i): strings.Repeat(fmt.Sprintln(i), 40)})
	}
	for _, branch := range []string{"kept", "deleted", "hidden"} {
		source.Git("branch", branch, "main~1")
		source.Commit(branch, "of "+branch, gittest.Files{branch: branch})
	}
	source.Git("tag", "-a", "-m", "secret words", "v1", "main~2")
	refs := map[string]string{}
	for name, id := range source.Refs() {
		if name == "refs/heads/hidden" {
			name = "refs/namespaces/ephemeral/refs/heads/hidden"
		}
		refs[name] = id
	}
	accept(t, f, key, packedBy(t, source, reachableFrom(source, "--all")), refs)
	main, kept, deleted := tipsOf(source, "main"), tipsOf(source, "kept"), tipsOf(source, "deleted")
	levels := [][]git.ObjectID{main, slices.Concat(kept, deleted, tipsOf(source, "v1"))}
	arrange(t, f, key, source, levels, reachableFrom(source, "hidden", "^main", "^kept"))
	cloned(t, f.snapshot(t, key), source, "", main...) // without the tag
	push(t, f, key, nil, cairn.RefUpdate{Name: "refs/heads/deleted", Old: deleted[0]})
	sn := f.snapshot(t, key)
	for _, filter := range []string{"", "blob:none"} {
		if plan := cloned(t, sn, source, filter, slices.Concat(main, kept)...); plan.WholePacks() == 0 {
			t.Error("level 1 is not sent whole")
		}
		cloned(t, sn, source, filter, kept...)
	}
	fork := cairn.RepositoryKey{Organization: f.org.ID, Repository: cairn.RepositoryID(cairn.NewID())}
	_, err := f.store.Fork(t.Context(), key, 0, "test", func(r cairn.Repository, _ []cairn.Ref) (cairn.Repository, []cairn.RefUpdate, error) {
		return cairn.Repository{RepositoryKey: fork, Name: "fork", DefaultBranch: r.DefaultBranch},
			[]cairn.RefUpdate{{Name: "refs/heads/main", New: tipsOf(source, "main~2")[0]}}, nil
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	cloned(t, f.snapshot(t, fork), source, "", tipsOf(source, "main~2")...)
	for _, id := range slices.Concat(main, kept, deleted, tipsOf(source, "v1", "hidden")) {
		q := &protocol.FetchRequest{Version: 2, Done: true, Wants: []git.ObjectID{id}}
		if _, err := f.snapshot(t, fork).Negotiate(t.Context(), odb.NormalView, q); err == nil {
			t.Errorf("%s may be had from the fork", id)
		}
	}
}

// TestCachedResponseNeverWidensAccess asks for what the response cache holds
// when it may no longer be asked for.
func TestCachedResponseNeverWidensAccess(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	key := f.repository(t, "r")
	f.commit(t, key, "refs/heads/main", map[string]string{"a": "a"})
	secret := f.commit(t, key, "refs/heads/secret", map[string]string{"s": "secret"})
	hidden := f.commit(t, key, odb.EphemeralRef("refs/heads/hidden"), map[string]string{"h": "hidden"})
	shallow := func(key cairn.RepositoryKey, view odb.View, want git.ObjectID) error {
		q := &protocol.FetchRequest{Version: 2, Done: true, OfsDelta: true, Depth: 1, Wants: []git.ObjectID{want}}
		n, err := f.snapshot(t, key).Negotiate(t.Context(), view, q)
		if err != nil {
			return err
		}
		return n.WritePack(t.Context(), io.Discard, func(string) {})
	}
	for range 2 {
		for view, want := range map[odb.View]git.ObjectID{odb.NormalView: secret, odb.EphemeralView: hidden} {
			if err := shallow(key, view, want); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := f.store.Stats().Responses; got.Hits != 2 || got.Misses != 2 {
		t.Fatalf("the responses are not kept: %+v", got)
	}
	for view, want := range map[odb.View]git.ObjectID{odb.NormalView: hidden, odb.EphemeralView: secret} {
		if err := shallow(key, view, want); !errors.Is(err, cairn.NotFound) {
			t.Errorf("what view %d does not show: %v, want NotFound", view, err)
		}
	}
	other := f.repository(t, "other")
	f.commit(t, other, "refs/heads/main", map[string]string{"a": "a"})
	if err := shallow(other, odb.NormalView, secret); !errors.Is(err, cairn.NotFound) {
		t.Errorf("from another repository: %v, want NotFound", err)
	}
	push(t, f, key, nil, cairn.RefUpdate{Name: "refs/heads/secret", Old: secret})
	if err := shallow(key, odb.NormalView, secret); !errors.Is(err, cairn.NotFound) {
		t.Errorf("after the branch was deleted: %v, want NotFound", err)
	}
}

// TestRandomClonesOfRepackedRepositories lets refs move, vanish and come at
// random, with repacks now and then, and clones at random in between.
func TestRandomClonesOfRepackedRepositories(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3) {
		random := rand.New(rand.NewPCG(seed, 7))
		f := newFixture(t, inBucket)
		key := f.repository(t, "r")
		source := gittest.Random(t, 40+seed, gittest.Options{Commits: 40, Skew: seed == 1})
		refs := source.Refs()
		accept(t, f, key, packedBy(t, source, reachableFrom(source, "--all")), refs)
		for step := range 12 {
			names := slices.Sorted(maps.Keys(refs))
			name := names[random.IntN(len(names))]
			old := git.MustParseObjectID(refs[name])
			switch kind := random.IntN(4); {
			case step%5 == 0:
				arrange(t, f, key, source, levelsOf(refs, random), reachableFrom(source, "--all"))
			case kind == 0 && name != "refs/heads/main" && len(names) > 2:
				push(t, f, key, nil, cairn.RefUpdate{Name: git.RefName(name), Old: old})
				delete(refs, name)
				source.Git("update-ref", "-d", name)
			case kind == 1: // a branch at some old commit
				commits := strings.Fields(source.Git("rev-list", "--all"))
				id := commits[random.IntN(len(commits))]
				name := fmt.Sprint("refs/heads/at/", step)
				push(t, f, key, nil, cairn.RefUpdate{Name: git.RefName(name), New: git.MustParseObjectID(id)})
				refs[name] = id
				source.Git("update-ref", name, id)
			default:
				old := git.MustParseObjectID(refs["refs/heads/main"])
				for i := range 1 + random.IntN(3) {
					source.Commit("main", "more", gittest.Files{fmt.Sprint("r/", random.IntN(5)): fmt.Sprint(step, i), "top": fmt.Sprint(random.IntN(3))})
				}
				refs["refs/heads/main"] = source.RevParse("main")
				args := []string{"main"}
				if random.IntN(2) == 0 {
					args = append(args, "^"+old.String()) // else all of it once more
				}
				push(t, f, key, packedBy(t, source, reachableFrom(source, args...)), cairn.RefUpdate{Name: "refs/heads/main", Old: old, New: git.MustParseObjectID(refs["refs/heads/main"])})
			}
			sn := f.snapshot(t, key)
			all := idsOf(refs)
			random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
			filter := []string{"", "blob:none"}[random.IntN(2)]
			cloned(t, sn, source, filter, all...)
			cloned(t, sn, source, filter, all[:1+random.IntN(len(all))]...)
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// levelsOf makes main the first level and spreads the other refs.
func levelsOf(refs map[string]string, random *rand.Rand) [][]git.ObjectID {
	levels := [][]git.ObjectID{{git.MustParseObjectID(refs["refs/heads/main"])}}
	rest := idsOf(refs, "refs/heads/main")
	for len(rest) > 0 {
		n := 1 + random.IntN(len(rest))
		levels, rest = append(levels, rest[:n]), rest[n:]
	}
	return levels
}
