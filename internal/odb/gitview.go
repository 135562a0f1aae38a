package odb

import (
	"bytes"
	"context"
	"errors"

	"github.com/cairn-storage/cairn/internal/gitexec"
)

// newGitView is a view of the snapshot's packs and of its commit-graph.
func (sn *Snapshot) newGitView(ctx context.Context) (*gitexec.View, error) {
	v, err := sn.openPackView(ctx)
	if err != nil {
		return nil, err
	}
	if err := sn.showGraph(ctx, v); err != nil {
		return nil, errors.Join(err, v.Close())
	}
	return v, nil
}

// openPackView is a view of the packs alone.
func (sn *Snapshot) openPackView(ctx context.Context) (*gitexec.View, error) {
	o := sn.store.options
	if o.Git == nil {
		return nil, gitexec.ErrUnavailable
	}
	if err := sn.load(ctx); err != nil {
		return nil, err
	}
	v, err := o.Git.NewView(o.ScratchDir, sn.format())
	if err != nil {
		return nil, err
	}
	for _, p := range sn.packs {
		if err = ctx.Err(); err == nil {
			err = sn.showPack(ctx, v, p)
		}
		if err != nil {
			return nil, errors.Join(err, v.Close())
		}
	}
	return v, nil
}

func (sn *Snapshot) showPack(ctx context.Context, v *gitexec.View, p *openPack) error {
	data, err := p.pack.Data().View(0, int(p.pack.Data().Size()))
	if err != nil {
		return err
	}
	files := [2]gitexec.PackFile{{Data: bytes.NewReader(data)}, {Data: bytes.NewReader(p.pack.Index().Bytes())}}
	if !p.info.Inline() {
		for i, suffix := range []string{packSuffix, indexSuffix} {
			f, err := sn.store.options.Bucket.Open(ctx, p.info.Key+suffix)
			if err != nil {
				return lost(err)
			}
			defer f.Close()
			files[i].File = f
		}
	}
	return v.AddPack(string(p.key.id), files[0], files[1])
}

func (sn *Snapshot) showGraph(ctx context.Context, v *gitexec.View) error {
	if g, err := sn.commitGraph(ctx); g == nil || err != nil {
		return err
	}
	key := sn.graph.Load().beside.info.Key + graphSuffix
	f, err := sn.store.options.Bucket.Open(ctx, key)
	if err != nil {
		return lost(err)
	}
	defer f.Close()
	return v.AddCommitGraph(gitexec.PackFile{File: f, Data: f})
}
