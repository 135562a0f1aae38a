package odb

import (
	"context"
	"fmt"
	"io"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
)

// CheckResult says what Check found.
type CheckResult struct {
	Packs, Objects int
	Problems       []string // at most maxProblems
}

// maxProblems ends a check of a store that is beyond repair.
const maxProblems = 100

// Check reads everything that a repository has and verifies it, as git fsck
// --strict does: every index against its pack, every object against its id and
// git's rules, and that everything the refs lead to is there. progress, if not
// nil, is told now and then how many of all objects have been read.
func (s *Store) Check(ctx context.Context, key cairn.RepositoryKey, progress func(done, all int)) (CheckResult, error) {
	sn, err := s.SnapshotOf(ctx, key)
	if err != nil {
		return CheckResult{}, err
	}
	defer sn.Close()
	if err := sn.load(ctx); err != nil {
		return CheckResult{}, err
	}
	c := checker{sn: sn, progress: progress, result: CheckResult{Packs: len(sn.packs)}}
	for _, p := range sn.packs {
		c.all += p.pack.Index().Len()
	}
	for _, p := range sn.packs {
		if err := c.pack(ctx, p); err != nil {
			return c.result, err
		}
	}
	return c.result, c.connectivity(ctx)
}

type checker struct {
	sn       *Snapshot
	progress func(done, all int)
	all      int
	result   CheckResult
}

func (c *checker) problem(format string, args ...any) {
	if len(c.result.Problems) < maxProblems {
		c.result.Problems = append(c.result.Problems, fmt.Sprintf(format, args...))
	}
}

func (c *checker) pack(ctx context.Context, p *openPack) error {
	x := p.pack.Index()
	if err := x.Verify(); err != nil {
		c.problem("pack %s: index: %v", p.key.id, err)
		return nil
	}
	bases := &recentObjects{}
	for _, pos := range x.ByOffset() { // bases lie near their deltas
		if err := ctx.Err(); err != nil {
			return err
		}
		id := x.ID(int(pos))
		if err := c.object(p, bases, x.Offset(int(pos)), id); err != nil {
			c.problem("pack %s: object %s: %v", p.key.id, id, err)
		}
		if c.result.Objects++; c.progress != nil && c.result.Objects%1000 == 0 {
			c.progress(c.result.Objects, c.all)
		}
	}
	if c.progress != nil {
		c.progress(c.result.Objects, c.all)
	}
	return nil
}

func (c *checker) object(p *openPack, bases *recentObjects, offset int64, id git.ObjectID) error {
	t, size, err := p.pack.Header(offset)
	if err != nil {
		return err
	}
	h := git.NewHasher(c.sn.format())
	h.Reset(t, size)
	if t == git.BlobObject {
		r, err := p.pack.Open(offset, bases)
		if err != nil {
			return err
		}
		defer r.Close()
		if _, err := io.Copy(h, r); err != nil {
			return err
		}
	} else {
		o, err := p.pack.Object(offset, bases, c.sn.store.options.MaxBuffered)
		if err != nil {
			return err
		}
		h.Write(o.Data)
		if err := git.CheckOldObject(c.sn.format(), t, o.Data); err != nil {
			return err
		}
	}
	sum, err := h.Sum()
	if err == nil && sum != id {
		err = fmt.Errorf("its bytes have the id %s", sum)
	}
	return err
}

// recentObjects is a cache for one pass over a pack. The shared cache would
// answer with what was read before the damage.
type recentObjects struct {
	objects map[int64]git.Object
	bytes   int
}

const recentBytes = 32 << 20

func (r *recentObjects) Get(offset int64) (git.Object, bool) {
	o, ok := r.objects[offset]
	return o, ok
}

func (r *recentObjects) Put(offset int64, o git.Object) {
	if r.objects == nil || r.bytes > recentBytes {
		r.objects, r.bytes = map[int64]git.Object{}, 0
	}
	r.objects[offset] = o
	r.bytes += len(o.Data)
}

// connectivity walks everything that any ref leads to.
func (c *checker) connectivity(ctx context.Context) error {
	for _, ref := range c.sn.Refs() {
		r := newReach(FullView, c.sn.repo.Version)
		if err := r.begin(ctx, c.sn, []cairn.Ref{ref}); err != nil {
			c.problem("ref %s: %v", ref.Name, err)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	r := newReach(FullView, c.sn.repo.Version)
	if err := r.start(ctx, c.sn); err != nil {
		return ctx.Err() // each ref's own problem is known by now
	}
	for {
		more, err := r.nextTree(ctx, c.sn)
		if err != nil {
			c.problem("connectivity: %v", err)
			return ctx.Err()
		}
		if !more {
			return nil
		}
	}
}
