package odb

import (
	"context"
	"errors"
	"io"
	"slices"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
)

// Outgoing is a pack for another server, with what it needs to follow a write
// that was not applied yet. Close it in every case.
type Outgoing struct {
	after *Snapshot
	plan  *PackPlan
}

// Outgoing plans a pack of all that the new values of the updates lead to and
// what the other server has does not. theirs may name what is not here; staged
// are the packs of the write.
func (sn *Snapshot) Outgoing(ctx context.Context, updates []cairn.RefUpdate, staged []Staged, theirs []git.ObjectID) (*Outgoing, error) {
	o := &Outgoing{after: sn.derive(sn.repo, updates, staged, cairn.Ref{})}
	for v := range o.after.reach {
		o.after.reach[v] = newReach(View(v), sn.repo.Version)
	}
	if err := o.prepare(ctx, sn, updates, staged, theirs); err != nil {
		o.Close()
		return nil, err
	}
	return o, nil
}

func (o *Outgoing) prepare(ctx context.Context, sn *Snapshot, updates []cairn.RefUpdate, staged []Staged, theirs []git.ObjectID) (err error) {
	for _, p := range staged {
		if p.Inline() {
			if err := o.after.inline(p.Pack); err != nil {
				return err
			}
		}
	}
	if err := o.after.load(ctx); err != nil {
		return err
	}
	var s selection
	for _, u := range updates {
		if !u.New.IsZero() {
			s.wants = append(s.wants, u.New)
		}
	}
	if s.haves, err = sn.commonCommits(ctx, theirs); err != nil {
		return err
	}
	o.plan, err = o.after.plan(ctx, s, func(string) {})
	if err == nil {
		o.plan.ofsDelta = true
	}
	return err
}

// commonCommits returns those of another server's commits that are reachable
// here, each once.
func (sn *Snapshot) commonCommits(ctx context.Context, theirs []git.ObjectID) ([]git.ObjectID, error) {
	var common []git.ObjectID
	theirs = slices.Clone(theirs)
	slices.SortFunc(theirs, git.ObjectID.Compare)
	for _, id := range slices.Compact(theirs) {
		ok, err := sn.Reachable(ctx, FullView, id)
		if err != nil && !errors.Is(err, ErrNoObject) {
			return nil, err
		}
		if ok {
			common = append(common, id)
		}
	}
	return sn.commitsOf(ctx, common)
}

// Write sends the pack. It may be called once.
func (o *Outgoing) Write(ctx context.Context, w io.Writer) error {
	return o.plan.Write(ctx, w, func(string) {})
}

// Close frees what the plan holds.
func (o *Outgoing) Close() { o.after.Close() }
