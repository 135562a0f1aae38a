//go:build linux

package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/storage/sqlite"
)

// direct issues the durable transactions of the server without the server: the
// most that anything above the metadata store can do.
type direct struct {
	*sqlite.Metadata
	organization cairn.OrganizationID
}

func openDirect(ctx context.Context, dir string) (*direct, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	m, err := sqlite.Open(ctx, filepath.Join(dir, "cairn.db"))
	if err != nil {
		return nil, err
	}
	d := &direct{m, cairn.OrganizationID(rand.Text())}
	err = m.Update(ctx, func(tx cairn.Tx) error {
		return tx.Organizations().Create(cairn.Organization{ID: d.organization, Name: "bench", CreatedAt: time.Now()})
	})
	return d, err
}

// createRepository is the transaction of a new repository.
func (d *direct) createRepository(ctx context.Context, name string) (cairn.RepositoryKey, error) {
	r := cairn.Repository{
		RepositoryKey: cairn.RepositoryKey{Organization: d.organization, Repository: cairn.RepositoryID(rand.Text())},
		Name:          cairn.RepositoryName(name), DefaultBranch: "refs/heads/main", Format: git.SHA1, CreatedAt: time.Now(),
	}
	return r.RepositoryKey, d.Update(ctx, func(tx cairn.Tx) error { _, err := tx.Repositories().Create(r); return err })
}

// commit is the transaction of a commit over HTTP: a pack of packSize bytes
// that lies inline, a ref that moves from wherever it is, and an event.
func (d *direct) commit(ctx context.Context, key cairn.RepositoryKey, packSize int) error {
	data, index := make([]byte, packSize), make([]byte, 1<<10)
	rand.Read(data)
	id := fmt.Sprintf("%x", data[:20])
	target, err := git.ParseObjectID(id)
	if err != nil {
		return err
	}
	p := cairn.Pack{ID: cairn.PackID(id), Objects: 8, Size: int64(packSize), IndexSize: int64(len(index)), CreatedAt: time.Now(), Data: data, Index: index}
	return d.Update(ctx, func(tx cairn.Tx) error {
		r, err := tx.Repositories().Advance(key)
		if err != nil {
			return err
		}
		move := cairn.RefUpdate{Name: "refs/heads/main", New: target}
		ref, err := tx.Refs().Get(key, move.Name)
		if err == nil {
			move.Old = ref.Target
		} else if !errors.Is(err, cairn.NotFound) {
			return err
		}
		if err := tx.Packs().Add(key, p); err != nil {
			return err
		}
		event := cairn.Event{Version: r.Version, At: p.CreatedAt, Actor: "bench", Kind: cairn.RefChanged, RefUpdate: move}
		if err := tx.Events().Append(key, []cairn.Event{event}); err != nil {
			return err
		}
		return tx.Refs().Update(key, r.Version, p.CreatedAt, []cairn.RefUpdate{move})
	})
}

// syncedAppends appends 4 KiB and waits for the disk, over and over: the least
// that anything durable can cost.
func (b *bench) syncedAppends(ctx context.Context) (loadResult, error) {
	f, err := os.Create(b.path("appends"))
	if err != nil {
		return loadResult{}, err
	}
	defer f.Close()
	page := make([]byte, 4096)
	return b.alone(ctx, 1, func(int, int) error {
		if _, err := f.Write(page); err != nil {
			return err
		}
		return syncData(f)
	})
}
