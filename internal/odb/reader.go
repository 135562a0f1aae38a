package odb

import (
	"fmt"

	"github.com/cairn-storage/cairn/internal/git"
)

// the parent of others.
type linkCache []linkSlot

type linkSlot struct {
	at    place
	full  bool
	links git.CommitLinks
}

func newLinkCache(large bool) linkCache {
	if large {
		return make(linkCache, 4096)
	}
	return make(linkCache, 64)
}

func (c linkCache) slot(at place) *linkSlot { return &c[(at.pos*31+at.pack)%len(c)] }

func (c linkCache) get(at place) (git.CommitLinks, bool) {
	s := c.slot(at)
	if !s.full || s.at != at {
		return git.CommitLinks{}, false
	}
	return s.links, true
}

func (c linkCache) put(at place, links git.CommitLinks) { *c.slot(at) = linkSlot{at, true, links} }

// objectReader reads trees, commits and tags for a walk.
type objectReader struct {
	sn    *Snapshot
	local *recent // nil: the store's cache is used
}

// newObjectReader returns a reader through the store's cache if shared; else
// through one of its own, so that a walk over everything does not push out what
// others use.
func newObjectReader(sn *Snapshot, shared bool) objectReader {
	r := objectReader{sn: sn}
	if !shared {
		r.local = &recent{}
	}
	return r
}

func (r objectReader) objectType(at place) (git.ObjectType, error) {
	p := r.sn.packs[at.pack].pack
	return p.Type(p.Index().Offset(at.pos))
}

// object reads an object that must be of the type.
func (r objectReader) object(at place, t git.ObjectType) ([]byte, error) {
	o, err := r.any(at)
	if err == nil && o.Type != t {
		err = fmt.Errorf("object %s is a %s, not a %s", r.sn.idAt(at), o.Type, t)
	}
	return o.Data, err
}

// any reads an object of any type.
func (r objectReader) any(at place) (git.Object, error) {
	p := r.sn.packs[at.pack]
	offset := p.pack.Index().Offset(at.pos)
	var o git.Object
	var err error
	if r.local != nil {
		o, err = p.pack.Object(offset, recentOf{r.local, at.pack}, r.sn.store.options.MaxBuffered)
	} else {
		o, err = p.pack.Object(offset, p.cache, r.sn.store.options.MaxBuffered)
	}
	if err != nil {
		return o, fmt.Errorf("read object %s in pack %s: %w", r.sn.idAt(at), p.key.id, err)
	}
	return o, nil
}

// recent holds what was read last, in two generations: when the young one is
// full it becomes the old one, whose place it takes.
type recent struct {
	young, old map[recentKey]git.Object
	size       int
}

type recentKey struct {
	pack   int
	offset int64
}

// generationBytes bounds one generation.
const generationBytes = 12 << 20

// recentOf is the part of recent that is of one pack; it is a pack.Cache.
type recentOf struct {
	all  *recent
	pack int
}

// Get returns an object by the offset of its entry.
func (r recentOf) Get(offset int64) (git.Object, bool) {
	key := recentKey{r.pack, offset}
	if o, ok := r.all.young[key]; ok {
		return o, true
	}
	o, ok := r.all.old[key]
	if ok {
		r.all.put(key, o)
	}
	return o, ok
}

// Put keeps an object for a while.
func (r recentOf) Put(offset int64, o git.Object) {
	if o.Type == git.BlobObject {
		return
	}
	r.all.put(recentKey{r.pack, offset}, o)
}

func (r *recent) put(key recentKey, o git.Object) {
	size := len(o.Data) + 100
	if size > generationBytes/4 {
		return
	}
	if r.young == nil || r.size+size > generationBytes {
		r.old, r.young, r.size = r.young, map[recentKey]git.Object{}, 0
	}
	if _, ok := r.young[key]; !ok {
		r.young[key] = o
		r.size += size
	}
}
