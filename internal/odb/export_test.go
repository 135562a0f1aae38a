package odb

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"os"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/git/pack"
	"github.com/cairn-storage/cairn/internal/gitexec"
)

// PackWithoutGit makes all repacks of the store but every nth write their packs
// in this process, for tests that are about everything else.
func (s *Store) PackWithoutGit(nth int) {
	n := 0
	s.packObjects = func(ctx context.Context, v *gitexec.View, o packOrder) (string, error) {
		if n++; n%nth == 0 {
			return gitPackObjects(ctx, v, o)
		}
		return o.write(ctx)
	}
}

// BeforePack calls f before each pack of a repack is made.
func (s *Store) BeforePack(f func() error) {
	s.packObjects = func(ctx context.Context, v *gitexec.View, o packOrder) (string, error) {
		if err := f(); err != nil {
			return "", err
		}
		return gitPackObjects(ctx, v, o)
	}
}

// write makes the pack, without deltas.
func (o packOrder) write(ctx context.Context) (string, error) {
	spool := pack.NewSpool(spoolMemory, nil)
	defer spool.Close()
	b := pack.NewBuilder(o.sn.format(), spool, 1)
	for _, l := range o.objects {
		object, err := o.sn.Object(ctx, o.sn.idAt(l.at()))
		if err != nil {
			return "", err
		}
		if _, err := b.Add(object.Type, object.Data); err != nil {
			return "", err
		}
	}
	checksum, index, err := b.Finish()
	if err != nil {
		return "", err
	}
	data, err := spool.Bytes()
	stem := o.base + "-" + hex.EncodeToString(checksum)
	return stem, errors.Join(err, os.WriteFile(stem+packSuffix, data, 0o600), os.WriteFile(stem+indexSuffix, index, 0o600))
}

// PutSidecars puts the two sidecars beside the lead pack: levels of one pack
// each with their tips, and a commit-graph.
func (s *Store) PutSidecars(ctx context.Context, f git.ObjectFormat, lead Staged, tips [][]git.ObjectID, packs []cairn.PackID, graph []byte) error {
	var c closure
	zero := git.MustParseObjectID(git.ZeroHex)
	for i, id := range packs {
		c.levels = append(c.levels, closureLevel{tips: tips[i], history: []cairn.PackID{id}, checksum: zero, historyChecksum: zero})
	}
	data, err := c.encode(f)
	if err != nil {
		return err
	}
	if err := s.options.Bucket.Put(ctx, lead.Key+closureSuffix, bytes.NewReader(data), int64(len(data))); err != nil {
		return err
	}
	return s.options.Bucket.Put(ctx, lead.Key+graphSuffix, bytes.NewReader(graph), int64(len(graph)))
}

// ReachedCommits is how many commits the view's set of reachable objects holds
// by name.
func (sn *Snapshot) ReachedCommits(view View) int { return len(sn.reach[view].commits) }

// TestLevel is a level of a closure that a test makes.
type TestLevel struct {
	Tips                      []git.ObjectID
	History, Blobs            []cairn.PackID
	Checksum, HistoryChecksum git.ObjectID
}

// EncodeClosure returns the sidecar and its key beside a pack.
func EncodeClosure(p cairn.Pack, levels []TestLevel) (key string, data []byte, err error) {
	var c closure
	for _, l := range levels {
		c.levels = append(c.levels, closureLevel{l.Tips, l.History, l.Blobs, l.Checksum, l.HistoryChecksum})
	}
	data, err = c.encode(git.SHA1)
	return p.Key + closureSuffix, data, err
}

// WholePacks counts the packs of which all is sent.
func (p *PackPlan) WholePacks() int {
	n := 0
	for i, count := range p.objects.count {
		if count > 0 && count == p.sn.packs[i].pack.Index().Len() {
			n++
		}
	}
	return n
}

// ForgetPast drops the refs of past states that are kept.
func (s *Store) ForgetPast() {
	s.past.mu.Lock()
	defer s.past.mu.Unlock()
	s.past.items = nil
}

// MergeProcesses counts the git processes that wait for another merge.
func (s *Store) MergeProcesses() (n int) {
	s.views.mu.Lock()
	defer s.views.mu.Unlock()
	for _, v := range s.views.idle {
		if v.merges != nil {
			n++
		}
	}
	return n
}

// EndMergeProcesses ends them, as if somebody had killed them.
func (s *Store) EndMergeProcesses() {
	s.views.mu.Lock()
	defer s.views.mu.Unlock()
	for _, v := range s.views.idle {
		if v.merges != nil {
			v.merges.cancel()
			<-v.merges.ended
		}
	}
}
