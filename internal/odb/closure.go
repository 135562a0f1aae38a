package odb

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
)

// closure tells which packs together hold exactly what is reachable from which
// tips. A full repack writes it beside one of its packs. For every k, the packs
// of the first k levels are disjoint and hold all that is reachable from the
// tips of the first k levels, and nothing else. So levels may be cut off at
// the end, and each may be sent as it is to who may see all of its tips.
type closure struct{ levels []closureLevel }

// closureLevel is one level. The packs of its history hold its commits, trees
// and tags, the others its blobs.
type closureLevel struct {
	tips    []git.ObjectID
	history []cairn.PackID
	blobs   []cairn.PackID
	// checksum ends the pack that is made of all objects of this level and of
	// those before it: a header that counts them, and then level by level the
	// entries of the packs as they are stored, history first.
	checksum git.ObjectID
	// historyChecksum ends the one that is made in the same way of history
	// alone.
	historyChecksum git.ObjectID
}

// packs returns the packs of the level in the order in which they are sent.
func (l closureLevel) packs() []cairn.PackID {
	return append(append([]cairn.PackID(nil), l.history...), l.blobs...)
}

// The file: magic, version, the size of an id in bytes, the number of levels;
// for each level the numbers of its tips, history packs and blob packs, then
// their ids, then the two checksums; at the end the SHA-256 of all before it.
// Numbers are unsigned, 32 bits, the first byte the highest.
const (
	closureMagic     = "cairn closure\n"
	closureVersion   = 1
	maxClosureLevels = 16
)

var errClosure = errors.New("malformed closure")

func badClosure(what string) error { return fmt.Errorf("%w: %s", errClosure, what) }

// encode returns the file. All ids are of the format.
func (c closure) encode(f git.ObjectFormat) ([]byte, error) {
	b := append([]byte(closureMagic), closureVersion, byte(f.Size()), byte(len(c.levels)))
	for _, l := range c.levels {
		for _, n := range []int{len(l.tips), len(l.history), len(l.blobs)} {
			b = binary.BigEndian.AppendUint32(b, uint32(n))
		}
		for _, id := range l.tips {
			b = id.AppendTo(b)
		}
		for _, id := range l.packs() {
			raw, err := hex.DecodeString(string(id))
			if err != nil || len(raw) != f.Size() {
				return nil, badClosure("pack id " + string(id))
			}
			b = append(b, raw...)
		}
		b = l.historyChecksum.AppendTo(l.checksum.AppendTo(b))
	}
	sum := sha256.Sum256(b)
	return append(b, sum[:]...), nil
}

// decodeClosure reads what encode writes and nothing else. Its memory is
// bounded by the length of data.
func decodeClosure(f git.ObjectFormat, data []byte) (closure, error) {
	var c closure
	body := len(data) - sha256.Size
	if body < len(closureMagic)+3 || string(data[:len(closureMagic)]) != closureMagic {
		return c, badClosure("not one")
	}
	if sum := sha256.Sum256(data[:body]); !bytes.Equal(sum[:], data[body:]) {
		return c, badClosure("wrong checksum")
	}
	head := data[len(closureMagic):]
	if head[0] != closureVersion {
		return c, badClosure(fmt.Sprintf("version %d", head[0]))
	}
	if int(head[1]) != f.Size() || head[2] > maxClosureLevels {
		return c, badClosure("wrong header")
	}
	r := closureReader{format: f, rest: data[len(closureMagic)+3 : body], packs: map[cairn.PackID]bool{}}
	for range head[2] {
		l, err := r.level()
		if err != nil {
			return closure{}, err
		}
		c.levels = append(c.levels, l)
	}
	if len(r.rest) > 0 {
		return closure{}, badClosure("stray bytes")
	}
	return c, nil
}

type closureReader struct {
	format git.ObjectFormat
	rest   []byte
	packs  map[cairn.PackID]bool // met
}

func (r *closureReader) level() (closureLevel, error) {
	var l closureLevel
	if len(r.rest) < 12 {
		return l, badClosure("cut off")
	}
	var n [3]int64
	for i := range n {
		n[i] = int64(binary.BigEndian.Uint32(r.rest[4*i:]))
	}
	r.rest = r.rest[12:]
	if (n[0]+n[1]+n[2]+2)*int64(r.format.Size()) > int64(len(r.rest)) {
		return l, badClosure("cut off")
	}
	if n[0] == 0 || n[1]+n[2] == 0 {
		return l, badClosure("an empty level")
	}
	l.tips = make([]git.ObjectID, n[0])
	for i := range l.tips {
		l.tips[i] = r.id()
	}
	var err error
	if l.history, err = r.packIDs(n[1]); err != nil {
		return l, err
	}
	if l.blobs, err = r.packIDs(n[2]); err != nil {
		return l, err
	}
	l.checksum, l.historyChecksum = r.id(), r.id()
	return l, nil
}

func (r *closureReader) packIDs(n int64) ([]cairn.PackID, error) {
	var ids []cairn.PackID
	for range n {
		id := cairn.PackID(r.id().String())
		if r.packs[id] {
			return nil, badClosure("a pack twice")
		}
		r.packs[id] = true
		ids = append(ids, id)
	}
	return ids, nil
}

// id reads an id; there are enough bytes.
func (r *closureReader) id() git.ObjectID {
	size := r.format.Size()
	id, _ := git.ObjectIDFromBytes(r.rest[:size])
	r.rest = r.rest[size:]
	return id
}

// closure returns the levels that hold in this state of the repository: of the
// closures beside its packs the one that has most levels, from the first on,
// of which every pack is in the manifest. It has no levels if the repository
// was never repacked. What it names was reachable then; whether the tips are
// now, the caller asks.
func (sn *Snapshot) closure(ctx context.Context) (closure, error) {
	var best closure
	present := sn.packIDs()
	for _, p := range sn.packs {
		if !p.info.Sidecars {
			continue
		}
		c, err := p.readClosure(ctx, sn.format())
		if err != nil {
			return closure{}, err
		}
		n := c.present(present)
		if n > len(best.levels) {
			best.levels = c.levels[:n:n]
		}
		if n > 0 && n == len(c.levels) {
			break
		}
	}
	return best, nil
}

// packIDs returns the packs of the manifest, if one of them has sidecars, which
// name others.
func (sn *Snapshot) packIDs() map[cairn.PackID]bool {
	if !slices.ContainsFunc(sn.packs, func(p *openPack) bool { return p.info.Sidecars }) {
		return nil
	}
	ids := make(map[cairn.PackID]bool, len(sn.packs))
	for _, p := range sn.packs {
		ids[p.key.id] = true
	}
	return ids
}

// present counts the levels, from the first on, whose packs are all there.
func (c closure) present(packs map[cairn.PackID]bool) int {
	for n, l := range c.levels {
		for _, id := range l.packs() {
			if !packs[id] {
				return n
			}
		}
	}
	return len(c.levels)
}

// readClosure returns the closure beside the pack. One that cannot be read is
// as none: it only makes things quick.
func (p *openPack) readClosure(ctx context.Context, f git.ObjectFormat) (closure, error) {
	p.closureMu.Lock()
	defer p.closureMu.Unlock()
	if p.closureRead {
		return p.closure, nil
	}
	s := p.cache.store
	data, err := mapItem(ctx, s.options.Bucket, p.info.Key+closureSuffix)
	if err == nil {
		p.closure, err = decodeClosure(f, data)
		_ = unix.Munmap(data)
	}
	if ctx.Err() != nil {
		return closure{}, ctx.Err()
	}
	if err != nil {
		s.options.Logger.Warn("sidecar cannot be read", "key", p.info.Key+closureSuffix, "error", err)
	}
	p.closureRead = true
	return p.closure, nil
}
