package pack

import (
	"bytes"
	"context"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/cairn-storage/cairn/internal/git"
)

// complete appends the bases that a thin pack lacks, resolves what builds on
// them, and returns how many it appended. It refuses a pack whose deltas have
// no base anywhere, or only one another.
func (rc *receiver) complete(ctx context.Context) (int, error) {
	missing := rc.missingBases()
	if len(missing) == 0 || rc.opts.Base == nil {
		return 0, rc.unresolved(missing, nil)
	}
	if err := rc.spool.Truncate(rc.view.end); err != nil {
		return 0, err
	}
	first := len(rc.offsets)
	hasher := git.NewHasher(rc.opts.Format)
	var notFound error
	for _, id := range missing {
		if err := context.Cause(ctx); err != nil {
			return 0, err
		}
		o, err := rc.opts.Base(ctx, id)
		if err != nil {
			// The base may be an object of this pack that waits for another one.
			notFound = err
			continue
		}
		if err := rc.append(hasher, id, o); err != nil {
			return 0, fmt.Errorf("append base %s: %w", id, err)
		}
	}
	if err := rc.spool.Freeze(); err != nil {
		return 0, err
	}
	rc.view.end = rc.spool.Size()
	if err := rc.resolve(ctx, uint32(first)); err != nil {
		return 0, err
	}
	if rc.resolved < rc.deltas {
		return 0, rc.unresolved(rc.missingBases(), notFound)
	}
	if err := rc.dropDoubles(first); err != nil {
		return 0, err
	}
	return len(rc.offsets) - first, nil
}

// unresolved is the error for deltas that are left over.
func (rc *receiver) unresolved(missing []git.ObjectID, cause error) error {
	n := rc.deltas - rc.resolved
	var base git.ObjectID
	if len(missing) > 0 {
		base = missing[0]
	}
	if cause != nil {
		return fmt.Errorf("%w: %d deltas unresolved, the first on %s: %w", ErrMissingBase, n, base, cause)
	}
	return fmt.Errorf("%w: %d deltas unresolved, the first on %s", ErrMissingBase, n, base)
}

// missingBases returns the ids that unresolved ref-deltas name, each once.
func (rc *receiver) missingBases() []git.ObjectID {
	var missing []git.ObjectID
	size := rc.opts.Format.Size()
	for i, object := range rc.refs.objects {
		if rc.bases[object] != none {
			continue
		}
		id, _ := git.ObjectIDFromBytes(rc.refs.ids[i*size : (i+1)*size])
		if n := len(missing); n == 0 || missing[n-1] != id {
			missing = append(missing, id)
		}
	}
	return missing
}

// append adds a whole object after those of the stream.
func (rc *receiver) append(hasher *git.Hasher, id git.ObjectID, o git.Object) error {
	if !o.Type.Valid() {
		return fmt.Errorf("object of type %d", o.Type)
	}
	hasher.Reset(o.Type, int64(len(o.Data)))
	hasher.Write(o.Data)
	if got, err := hasher.Sum(); err != nil {
		return err
	} else if got != id {
		return fmt.Errorf("the object there is %s", got)
	}
	rc.offsets = append(rc.offsets, rc.spool.Size())
	rc.kinds = append(rc.kinds, Kind(o.Type))
	rc.bases = append(rc.bases, none)
	rc.ids = append(rc.ids, id.Bytes()...)
	crc := crc32.NewIEEE()
	w := io.MultiWriter(crc, rc.spool)
	if _, err := w.Write(appendHeader(nil, Kind(o.Type), int64(len(o.Data)))); err != nil {
		return err
	}
	if err := deflateFrom(w, bytes.NewReader(o.Data), int64(len(o.Data)), DefaultCompression, io.Discard); err != nil {
		return err
	}
	rc.crcs = append(rc.crcs, crc.Sum32())
	return nil
}

// dropDoubles takes those appended objects back that turned out to be in the
// pack too, as deltas that had to wait.
func (rc *receiver) dropDoubles(first int) error {
	appended := map[git.ObjectID]bool{}
	size := rc.opts.Format.Size()
	idOf := func(i int) git.ObjectID {
		id, _ := git.ObjectIDFromBytes(rc.ids[i*size : (i+1)*size])
		return id
	}
	for i := first; i < len(rc.offsets); i++ {
		appended[idOf(i)] = false
	}
	doubles := 0
	for i := range first {
		id := idOf(i)
		if double, ok := appended[id]; ok && !double {
			appended[id] = true
			doubles++
		}
	}
	if doubles == 0 {
		return nil
	}
	ends := append(rc.offsets[first+1:len(rc.offsets):len(rc.offsets)], rc.spool.Size())
	tail, err := rc.spool.View(rc.offsets[first], int(rc.spool.Size()-rc.offsets[first]))
	if err != nil {
		return err
	}
	start := rc.offsets[first]
	tail = bytes.Clone(tail)
	if err := rc.spool.Truncate(start); err != nil {
		return err
	}
	kept := first
	for i := first; i < len(rc.offsets); i++ {
		if appended[idOf(i)] {
			continue
		}
		entry := tail[rc.offsets[i]-start : ends[i-first]-start]
		copy(rc.id(uint32(kept)), rc.id(uint32(i)))
		rc.crcs[kept] = rc.crcs[i]
		rc.offsets[kept] = rc.spool.Size()
		if _, err := rc.spool.Write(entry); err != nil {
			return err
		}
		kept++
	}
	rc.offsets, rc.crcs, rc.ids = rc.offsets[:kept], rc.crcs[:kept], rc.ids[:kept*size]
	return nil
}
