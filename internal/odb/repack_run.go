package odb

import (
	"bytes"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/git/pack"
	"github.com/cairn-storage/cairn/internal/gitexec"
)

// repack is one full repack under way.
type repack struct {
	store    *Store
	sn       *Snapshot
	roots    repackRoots
	progress func(string)

	list    *listing
	plan    []plannedLevel
	planned int64 // objects
	view    *gitexec.View
	made    []*madePack
	staged  []Staged
	// mayBeNamed is set once a manifest may name what is staged.
	mayBeNamed bool
}

// plannedLevel is what the packs of a level are to hold.
type plannedLevel struct {
	tips    []git.ObjectID // none for what is no level of the closure
	history []listed
	blobs   []listed
}

// madePack is a new pack in the view.
type madePack struct {
	level  int // of the closure, from 0; negative: of none
	role   cairn.PackRole
	stem   string // of the paths of its files
	data   []byte // mapped
	index  []byte // mapped
	parsed *pack.Index
}

func (m *madePack) id() cairn.PackID { return cairn.PackID(fmt.Sprintf("%x", m.parsed.PackChecksum())) }

func (m *madePack) unmap() {
	_ = unix.Munmap(m.data)
	_ = unix.Munmap(m.index)
}

func (r *repack) close() {
	for _, m := range r.made {
		m.unmap()
	}
	if r.view != nil {
		if err := r.view.Close(); err != nil {
			r.store.options.Logger.Warn("scratch directory left behind", "error", err)
		}
	}
	if !r.mayBeNamed {
		r.store.Discard(context.Background(), r.staged...)
	}
}

func (r *repack) run(ctx context.Context) error {
	if err := r.enumerate(ctx); err != nil {
		return fmt.Errorf("enumerate: %w", err)
	}
	var err error
	if r.view, err = r.sn.openPackView(ctx); err != nil {
		return err
	}
	count := counter{what: "Packing objects", tell: r.progress}
	for i, level := range r.plan {
		if len(level.tips) == 0 {
			i = -1
		}
		if err := r.write(ctx, i, cairn.HistoryPack, level.history); err != nil {
			return err
		}
		count.show(r.packed())
		for _, segment := range r.list.segments(r.sn, level.blobs, r.store.options.SegmentSize) {
			if err := r.write(ctx, i, cairn.BlobPack, segment); err != nil {
				return err
			}
			count.show(r.packed())
		}
	}
	count.done(r.packed())
	if err := r.stage(ctx); err != nil {
		return err
	}
	return r.publish(ctx)
}

// packed is how many objects the new packs hold by now.
func (r *repack) packed() (n int64) {
	for _, m := range r.made {
		n += int64(m.parsed.Len())
	}
	return n
}

// missingRoot is the error of an event's target that is not there as a whole.
type missingRoot struct {
	id  git.ObjectID
	err error
}

func (e *missingRoot) Error() string { return e.err.Error() }
func (e *missingRoot) Unwrap() error { return e.err }

// enumerate finds what each level is to hold. The target of an event may be
// gone, or be there without all that it leads to: then it is as if there were
// no such event. All begins anew in that rare case, as the walk has taken down
// what it met.
func (r *repack) enumerate(ctx context.Context) error {
	gone := map[git.ObjectID]bool{}
	for {
		err := r.enumerateWithout(ctx, gone)
		var root *missingRoot
		if !errors.As(err, &root) {
			return err
		}
		gone[root.id] = true
	}
}

func (r *repack) enumerateWithout(ctx context.Context, gone map[git.ObjectID]bool) error {
	r.list, r.plan = newListing(r.sn.format()), nil
	e := newEnumeration(r.sn, selection{}, r.progress)
	e.listing = r.list
	for _, tips := range r.roots.levels {
		if err := e.run(ctx, selection{wants: tips}, nil); err != nil {
			return err
		}
		history, blobs := r.list.take()
		if len(history)+len(blobs) > 0 {
			r.plan = append(r.plan, plannedLevel{tips, history, blobs})
		}
	}
	if err := e.run(ctx, selection{wants: r.roots.rest}, nil); err != nil {
		return err
	}
	for _, id := range r.roots.events {
		at, ok := r.sn.place(id)
		if !ok || gone[id] || e.objects.has(at) {
			continue
		}
		err := e.run(ctx, selection{wants: []git.ObjectID{id}}, nil)
		if errors.Is(err, errMissing) {
			return &missingRoot{id, err}
		}
		if err != nil {
			return err
		}
	}
	if history, blobs := r.list.take(); len(history)+len(blobs) > 0 {
		r.plan = append(r.plan, plannedLevel{nil, history, blobs})
	}
	r.planned = e.objects.len()
	e.progress.done(r.planned)
	return nil
}

// packOrder says what a pack is to hold: what input lists, and where it goes.
type packOrder struct {
	sn      *Snapshot
	objects []listed
	texts   []string
	base    string // of the paths of the files
	// anew seeks all deltas anew, also those that the objects have already.
	anew bool
}

// packWindow bounds the memory of git pack-objects: what it holds to compare
// objects with, and what it finds.
const packWindow = "64m"

// gitPackObjects lets git make a pack and its index.
func gitPackObjects(ctx context.Context, v *gitexec.View, o packOrder) (string, error) {
	var out bytes.Buffer
	args := []string{"pack-objects", "--quiet", "--delta-base-offset", "--threads=1", "--window=10", "--depth=50",
		"--window-memory=" + packWindow}
	if o.anew {
		args = append(args, "--no-reuse-delta")
	}
	err := v.Run(ctx, gitexec.Command{
		Args:     args,
		Operands: []string{o.base},
		// Large objects are neither held whole nor compared.
		Config: []string{"core.bigFileThreshold=16m", "core.deltaBaseCacheLimit=32m", "pack.deltaCacheSize=32m",
			"core.packedGitWindowSize=32m", "core.packedGitLimit=256m", "pack.writeReverseIndex=false", "pack.indexVersion=2"},
		Stdin:      &packInput{sn: o.sn, texts: o.texts, objects: o.objects},
		Stdout:     &out,
		Background: true,
	})
	return o.base + "-" + string(bytes.TrimSpace(out.Bytes())), err
}

// write makes a pack of a list and verifies it.
func (r *repack) write(ctx context.Context, level int, role cairn.PackRole, objects []listed) error {
	if len(objects) == 0 {
		return nil
	}
	base := r.view.Path(fmt.Sprintf("new%d", len(r.made)))
	stem, err := r.store.packObjects(ctx, r.view, packOrder{r.sn, objects, r.list.texts, base, r.lackDeltas(objects)})
	if err != nil {
		return err
	}
	m := &madePack{level: level, role: role, stem: stem}
	r.made = append(r.made, m)
	if m.data, err = mapPath(stem + packSuffix); err != nil {
		return err
	}
	if m.index, err = mapPath(stem + indexSuffix); err != nil {
		return err
	}
	if m.parsed, err = pack.ParseIndex(r.sn.format(), m.index); err != nil {
		return err
	}
	if err := r.verify(ctx, m, objects); err != nil {
		return fmt.Errorf("git wrote a bad pack: %w", err)
	}
	return nil
}

// lackDeltas tells whether most of what came since the last full repack was
// written without deltas, as commits over the API are, and takes a tenth of the
// bytes or more: their number does not tell, as an object without a delta is as
// large as many with one. Git seeks no deltas among objects that lie whole in one
// pack, and merging puts them there: it takes that for the result of an earlier
// search. To seek all anew is work in proportion to what there is; each tenth of
// it that a repack leaves whole stays so until one that does.
func (r *repack) lackDeltas(objects []listed) bool {
	var recent, whole, bytes, recentBytes int64
	for _, o := range objects {
		p := r.sn.packs[o.pack]
		x := p.pack.Index()
		size := p.pack.EntryEnd(int(o.pos)) - x.Offset(int(o.pos))
		bytes += size
		if p.info.Role != cairn.MixedPack {
			continue
		}
		recent++
		recentBytes += size
		e, err := p.pack.Entry(x.Offset(int(o.pos)))
		if err == nil && !e.Kind.IsDelta() {
			whole++
		}
	}
	return 10*recentBytes > bytes && 3*whole > 2*recent
}

func mapPath(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return mapFile(f)
}

// verify makes sure that a new pack holds exactly the objects of the list, each
// with the bytes that its id names.
func (r *repack) verify(ctx context.Context, m *madePack, objects []listed) error {
	p, err := pack.New(r.sn.format(), pack.Bytes(m.data), m.parsed)
	if err != nil {
		return err
	}
	p.SetTempFile(r.store.scratch)
	if err := m.parsed.Verify(); err != nil {
		return err
	}
	if err := p.Verify(ctx); err != nil {
		return err
	}
	if m.parsed.Len() != len(objects) {
		return fmt.Errorf("it holds %d objects, not the %d of the list", m.parsed.Len(), len(objects))
	}
	for _, o := range objects {
		if id := r.sn.idAt(o.at()); !has(m.parsed, id) {
			return fmt.Errorf("object %s is not in it", id)
		}
	}
	bases := &recentObjects{}
	for i, pos := range m.parsed.ByOffset() {
		if i%256 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if err := verifyObject(p, bases, int(pos)); err != nil {
			return fmt.Errorf("object %s: %w", m.parsed.ID(int(pos)), err)
		}
	}
	_ = unix.Madvise(m.data, unix.MADV_DONTNEED)
	return nil
}

func has(x *pack.Index, id git.ObjectID) bool {
	_, ok := x.Find(id)
	return ok
}

// verifyObject hashes an object. The ids are known to be no collisions, so a
// plain hash will do.
func verifyObject(p *pack.Pack, bases *recentObjects, pos int) error {
	x := p.Index()
	o, err := p.Open(x.Offset(pos), bases)
	if err != nil {
		return err
	}
	defer o.Close()
	h := newHash(p.Format())
	fmt.Fprintf(h, "%s %d\x00", o.Type(), o.Size())
	if _, err := io.Copy(h, o); err != nil {
		return err
	}
	if id := x.ID(pos); !bytes.Equal(h.Sum(nil), id.Bytes()) {
		return errors.New("its bytes have another id")
	}
	return nil
}

func newHash(f git.ObjectFormat) hash.Hash {
	if f == git.SHA256 {
		return sha256.New()
	}
	return sha1.New()
}

// stage puts the packs into the Bucket, with the sidecars beside the lead.
func (r *repack) stage(ctx context.Context) error {
	lead, err := r.lead(ctx)
	if err != nil {
		return err
	}
	for _, m := range r.made {
		p := Staged{cairn.Pack{
			ID: m.id(), Role: m.role, Objects: int64(m.parsed.Len()), Size: int64(len(m.data)), IndexSize: int64(len(m.index)),
			CreatedAt: r.store.options.Now().UTC(), Sidecars: m == lead,
		}}
		p.Key = newPackStem(r.sn.repo.Organization, p.ID)
		r.staged = append(r.staged, p)
		for _, suffix := range []string{packSuffix, indexSuffix} {
			if err := r.store.putPath(ctx, p.Key+suffix, m.stem+suffix); err != nil {
				return fmt.Errorf("store pack %s: %w", p.ID, err)
			}
		}
		if p.Sidecars {
			if err := r.putSidecars(ctx, p.Key); err != nil {
				return fmt.Errorf("store sidecars of pack %s: %w", p.ID, err)
			}
		}
	}
	return nil
}

func (s *Store) putPath(ctx context.Context, key, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return s.options.Bucket.PutFile(ctx, key, f)
}

// lead is the pack that gets the sidecars: the first of the closure that is new
// to the organization, as a pack that it has already keeps its own row. If none
// is new, nothing has changed since the last repack.
func (r *repack) lead(ctx context.Context) (*madePack, error) {
	var lead *madePack
	err := r.store.options.Metadata.View(ctx, func(tx cairn.Tx) error {
		lead = nil
		for _, m := range r.made {
			if m.level < 0 {
				continue
			}
			_, err := tx.Packs().Get(r.sn.repo.Organization, m.id())
			if errors.Is(err, cairn.NotFound) {
				lead = m
				return nil
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	return lead, err
}

func (r *repack) putSidecars(ctx context.Context, stem string) error {
	data, err := r.closure().encode(r.sn.format())
	if err != nil {
		return err
	}
	if err := r.store.options.Bucket.Put(ctx, stem+closureSuffix, bytes.NewReader(data), int64(len(data))); err != nil {
		return err
	}
	path := r.view.Path("graph")
	f, err := os.OpenFile(filepath.Clean(path), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := r.list.graph.Write(f); err != nil {
		return err
	}
	return r.store.options.Bucket.PutFile(ctx, stem+graphSuffix, f)
}

// closure tells what the packs of the levels hold.
func (r *repack) closure() closure {
	var c closure
	for i, level := range r.plan {
		if len(level.tips) == 0 {
			break
		}
		l := closureLevel{tips: level.tips}
		for _, m := range r.made {
			switch {
			case m.level != i:
			case m.role == cairn.HistoryPack:
				l.history = append(l.history, m.id())
			default:
				l.blobs = append(l.blobs, m.id())
			}
		}
		l.checksum = r.streamChecksum(i, func(*madePack) bool { return true })
		l.historyChecksum = r.streamChecksum(i, func(m *madePack) bool { return m.role == cairn.HistoryPack })
		c.levels = append(c.levels, l)
	}
	return c
}

// streamChecksum is the checksum of the pack that the entries of the chosen
// packs of the levels up to last make.
func (r *repack) streamChecksum(last int, chosen func(*madePack) bool) git.ObjectID {
	var parts []*madePack
	n := 0
	for _, m := range r.made {
		if m.level >= 0 && m.level <= last && chosen(m) {
			parts = append(parts, m)
			n += m.parsed.Len()
		}
	}
	h := newHash(r.sn.format())
	h.Write(binary.BigEndian.AppendUint32([]byte("PACK\x00\x00\x00\x02"), uint32(n)))
	for _, m := range parts {
		h.Write(m.data[12 : len(m.data)-r.sn.format().Size()])
		_ = unix.Madvise(m.data, unix.MADV_DONTNEED)
	}
	id, _ := git.ObjectIDFromBytes(h.Sum(nil))
	return id
}
