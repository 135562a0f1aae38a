package odb

import (
	"cmp"
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/git/pack"
)

// maxScanners is how many blobs a scan reads at a time.
const maxScanners = 4

// scanStep is how many neighbours in a pack one goroutine takes at once, so that
// it finds the bases of deltas among what it read before.
const scanStep = 32

// ScanBlobs reads blobs in the order in which they are stored, several at a
// time, past the cache, and calls f with the place of each in ids. Calls run
// side by side, and content is gone when they return. A blob of more than max bytes is
// left out. The first error ends the scan.
func (sn *Snapshot) ScanBlobs(ctx context.Context, ids []git.ObjectID, max int64, f func(i int, content []byte) error) error {
	found := make([]scanned, len(ids))
	for i, id := range ids {
		p, pos, err := sn.find(ctx, id)
		if err != nil {
			return err
		}
		found[i] = scanned{i, p, p.pack.Index().Offset(pos)}
	}
	slices.SortFunc(found, func(a, b scanned) int {
		return cmp.Or(cmp.Compare(a.pack.serial, b.pack.serial), cmp.Compare(a.offset, b.offset))
	})
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), maxScanners, len(found)/scanStep+1) {
		workers.Go(func() {
			for {
				end := int(next.Add(scanStep))
				start := end - scanStep
				if start >= len(found) {
					return
				}
				if err := scan(ctx, found[start:min(end, len(found))], max, f); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	workers.Wait()
	return context.Cause(ctx)
}

// scanned is a blob and where it lies.
type scanned struct {
	at     int
	pack   *openPack
	offset int64
}

func scan(ctx context.Context, blobs []scanned, max int64, f func(int, []byte) error) error {
	bases := &recentObjects{}
	for i, b := range blobs {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if i > 0 && blobs[i-1].pack != b.pack {
			bases = &recentObjects{}
		}
		err := b.pack.pack.Use(b.offset, bases, max, func(o git.Object) error { return f(b.at, o.Data) })
		var tooLarge *pack.LimitError
		if errors.As(err, &tooLarge) && tooLarge.Name == "object size" {
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}
