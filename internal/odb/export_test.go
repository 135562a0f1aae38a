package odb

import (
	"bytes"
	"context"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
)

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
