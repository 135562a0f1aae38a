package odb

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/git/diff"
)

// ErrNoObject is in the chain of the error for an object that the
// repository's packs do not hold.
var ErrNoObject = errors.New("no such object")

func noObject(id git.ObjectID) error { return fmt.Errorf("%w: %s", ErrNoObject, id) }

// find tells where an object lies. Packs are asked newest first: what is read
// most was written last.
func (sn *Snapshot) find(ctx context.Context, id git.ObjectID) (*openPack, int, error) {
	if err := sn.load(ctx); err != nil {
		return nil, 0, err
	}
	for _, p := range sn.packs {
		if pos, ok := p.pack.Index().Find(id); ok {
			return p, pos, nil
		}
	}
	return nil, 0, noObject(id)
}

// Has tells whether the packs hold the object, reachable or not.
func (sn *Snapshot) Has(ctx context.Context, id git.ObjectID) (bool, error) {
	_, _, err := sn.find(ctx, id)
	if errors.Is(err, ErrNoObject) {
		return false, nil
	}
	return err == nil, err
}

// Object returns an object whole. It does not ask whether the object is
// reachable. Objects over Options.MaxBuffered are TooLarge: see OpenBlob.
func (sn *Snapshot) Object(ctx context.Context, id git.ObjectID) (git.Object, error) {
	p, pos, err := sn.find(ctx, id)
	if err != nil {
		return git.Object{}, err
	}
	return sn.objectAt(p, p.pack.Index().Offset(pos), id)
}

func (sn *Snapshot) objectAt(p *openPack, offset int64, id git.ObjectID) (git.Object, error) {
	if o, ok := p.cache.Get(offset); ok {
		return o, nil
	}
	limit := sn.store.options.MaxBuffered
	if _, size, err := p.pack.Header(offset); err != nil {
		return git.Object{}, fmt.Errorf("read object %s in pack %s: %w", id, p.key.id, err)
	} else if size > limit {
		return git.Object{}, cairn.Errorf(cairn.TooLarge, "object %s has %d bytes, more than the %d that can be held whole", id, size, limit)
	}
	o, err := p.pack.Object(offset, p.cache, limit)
	if err != nil {
		return git.Object{}, fmt.Errorf("read object %s in pack %s: %w", id, p.key.id, err)
	}
	return o, nil
}

// Header returns an object's kind and size in bytes without reading it.
func (sn *Snapshot) Header(ctx context.Context, id git.ObjectID) (git.ObjectType, int64, error) {
	p, pos, err := sn.find(ctx, id)
	if err != nil {
		return 0, 0, err
	}
	t, size, err := p.pack.Header(p.pack.Index().Offset(pos))
	if err != nil {
		return 0, 0, fmt.Errorf("read object %s in pack %s: %w", id, p.key.id, err)
	}
	return t, size, nil
}

func (sn *Snapshot) typed(ctx context.Context, id git.ObjectID, t git.ObjectType) ([]byte, error) {
	o, err := sn.Object(ctx, id)
	if err != nil {
		return nil, err
	}
	if o.Type != t {
		return nil, fmt.Errorf("%w: %s is a %s, not a %s", ErrNoObject, id, o.Type, t)
	}
	return o.Data, nil
}

// Commit returns what a walk needs of a commit; it makes a Snapshot a
// graph.Commits.
func (sn *Snapshot) Commit(ctx context.Context, id git.ObjectID) (git.CommitLinks, error) {
	g, err := sn.commitGraph(ctx)
	if err != nil {
		return git.CommitLinks{}, err
	}
	if g != nil {
		if pos, ok := g.Find(id); ok {
			if l, err := g.Links(pos); err == nil {
				return l, nil
			}
		}
	}
	// The cache is shared by all repositories, so the commit must be in this
	// one's packs before its links are told.
	p, pos, err := sn.find(ctx, id)
	if err != nil {
		return git.CommitLinks{}, err
	}
	if l, ok := sn.store.commits.GetIfPresent(id); ok {
		return l, nil
	}
	o, err := sn.objectAt(p, p.pack.Index().Offset(pos), id)
	if err != nil {
		return git.CommitLinks{}, err
	}
	if o.Type != git.CommitObject {
		return git.CommitLinks{}, fmt.Errorf("%w: %s is a %s, not a commit", ErrNoObject, id, o.Type)
	}
	l, err := git.ParseCommitLinks(sn.format(), o.Data)
	if err != nil {
		return git.CommitLinks{}, fmt.Errorf("commit %s: %w", id, err)
	}
	sn.store.commits.Set(id, l)
	return l, nil
}

// FullCommit returns a parsed commit.
func (sn *Snapshot) FullCommit(ctx context.Context, id git.ObjectID) (*git.Commit, error) {
	data, err := sn.typed(ctx, id, git.CommitObject)
	if err != nil {
		return nil, err
	}
	return git.ParseCommit(sn.format(), data)
}

// Tree returns an encoded tree. The empty tree is always there, as in git.
func (sn *Snapshot) Tree(ctx context.Context, id git.ObjectID) ([]byte, error) {
	data, err := sn.typed(ctx, id, git.TreeObject)
	if errors.Is(err, ErrNoObject) && id == sn.format().EmptyTree() {
		return nil, nil
	}
	return data, err
}

// Blob returns a blob whole, if it has at most max bytes; else the error
// matches diff.ErrTooLarge.
func (sn *Snapshot) Blob(ctx context.Context, id git.ObjectID, max int64) ([]byte, error) {
	size, err := sn.BlobSize(ctx, id)
	if err != nil {
		return nil, err
	}
	if size > min(max, sn.store.options.MaxBuffered) {
		return nil, fmt.Errorf("blob %s has %d bytes: %w", id, size, diff.ErrTooLarge)
	}
	return sn.typed(ctx, id, git.BlobObject)
}

// BlobSize returns the size of a blob in bytes.
func (sn *Snapshot) BlobSize(ctx context.Context, id git.ObjectID) (int64, error) {
	t, size, err := sn.Header(ctx, id)
	if err == nil && t != git.BlobObject {
		return 0, fmt.Errorf("%w: %s is a %s, not a blob", ErrNoObject, id, t)
	}
	return size, err
}

// OpenBlob streams a blob of any size in bounded memory and returns its size.
func (sn *Snapshot) OpenBlob(ctx context.Context, id git.ObjectID) (io.ReadCloser, int64, error) {
	p, pos, err := sn.find(ctx, id)
	if err != nil {
		return nil, 0, err
	}
	r, err := p.pack.Open(p.pack.Index().Offset(pos), p.cache)
	if err != nil {
		return nil, 0, fmt.Errorf("read object %s in pack %s: %w", id, p.key.id, err)
	}
	if r.Type() != git.BlobObject {
		r.Close()
		return nil, 0, fmt.Errorf("%w: %s is a %s, not a blob", ErrNoObject, id, r.Type())
	}
	return &passing{ReadCloser: r, ctx: ctx, pack: p}, r.Size(), nil
}

// passing is a reader of content that may be large: it ends with its context,
// and lets go of the mapped pages behind it, which would else all count as
// memory of the process. Other readers find them in the page cache.
type passing struct {
	io.ReadCloser
	ctx  context.Context
	pack *openPack
	read int64
}

const passingStep = 32 << 20

func (r *passing) Read(b []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := r.ReadCloser.Read(b)
	if r.read += int64(n); r.read >= passingStep {
		r.read = 0
		r.pack.forgetPages()
	}
	return n, err
}

// maxTagDepth bounds a chain of tags that name tags.
const maxTagDepth = 32

// Peel follows annotated tags to what they name in the end.
func (sn *Snapshot) Peel(ctx context.Context, id git.ObjectID) (git.ObjectID, git.ObjectType, error) {
	for range maxTagDepth {
		t, _, err := sn.Header(ctx, id)
		if err != nil || t != git.TagObject {
			return id, t, err
		}
		if id, err = sn.tagTarget(ctx, id); err != nil {
			return id, 0, err
		}
	}
	return id, 0, fmt.Errorf("tag %s: a chain of more than %d tags", id, maxTagDepth)
}

func (sn *Snapshot) tagTarget(ctx context.Context, id git.ObjectID) (git.ObjectID, error) {
	data, err := sn.typed(ctx, id, git.TagObject)
	if err != nil {
		return id, err
	}
	tag, err := git.ParseTag(sn.format(), data)
	if err != nil {
		return id, fmt.Errorf("tag %s: %w", id, err)
	}
	return tag.Target, nil
}

// PeelToCommit follows annotated tags to a commit; ErrNoObject if they end
// elsewhere.
func (sn *Snapshot) PeelToCommit(ctx context.Context, id git.ObjectID) (git.ObjectID, error) {
	id, t, err := sn.Peel(ctx, id)
	if err == nil && t != git.CommitObject {
		return id, fmt.Errorf("%w: %s is a %s, not a commit", ErrNoObject, id, t)
	}
	return id, err
}

// Prefix returns up to limit ids that start with the hexadecimal prefix.
func (sn *Snapshot) Prefix(ctx context.Context, prefix string, limit int) ([]git.ObjectID, error) {
	if err := sn.load(ctx); err != nil {
		return nil, err
	}
	seen := map[git.ObjectID]bool{}
	var ids []git.ObjectID
	for _, p := range sn.packs {
		for _, id := range p.pack.Index().Prefix(prefix, limit) {
			if !seen[id] && len(ids) < limit {
				seen[id] = true
				ids = append(ids, id)
			}
		}
	}
	return ids, nil
}

// CommitBySuffix returns the commit whose id ends in these bytes; false if there
// is none. It looks at the ids of all objects, which lie side by side.
func (sn *Snapshot) CommitBySuffix(ctx context.Context, suffix [16]byte) (git.ObjectID, bool, error) {
	if err := sn.load(ctx); err != nil {
		return git.ObjectID{}, false, err
	}
	for _, p := range sn.packs {
		if err := ctx.Err(); err != nil {
			return git.ObjectID{}, false, err
		}
		for _, id := range p.pack.Index().Suffix(suffix) {
			t, _, err := sn.Header(ctx, id)
			if err != nil {
				return git.ObjectID{}, false, err
			}
			if t == git.CommitObject {
				return id, true, nil
			}
		}
	}
	return git.ObjectID{}, false, nil
}

func isNoObject(err error) bool { return errors.Is(err, ErrNoObject) }
