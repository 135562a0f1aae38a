package service

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/git/graph"
	"github.com/cairn-storage/cairn/internal/git/protocol"
)

// What runs that do not follow do is what git does with refspecs without "+":
// branches move forward only, tags not at all, and nothing is deleted.

// forward moves the refs here to where they are upstream, where that is forward.
func (r *syncRun) forward(ctx context.Context) error {
	var updates []cairn.RefUpdate
	names := newRefNames(r.sn)
	for _, name := range slices.Sorted(maps.Keys(r.theirs)) {
		ours, _ := r.sn.Ref(name)
		u := cairn.RefUpdate{Name: name, Old: ours.Target, New: r.theirs[name]}
		outcome, err := r.pullOutcome(ctx, names, u)
		if err != nil {
			return fmt.Errorf("%s: %w", cairn.Clip(string(name)), err)
		}
		if outcome == cairn.RefUpdated {
			updates = append(updates, u)
			continue // it is noted when it is done
		}
		r.note(cairn.SyncRef{Name: name, Before: u.Old, After: u.New, Outcome: outcome})
	}
	if err := r.stage(ctx); err != nil {
		return err
	}
	return r.applyAll(ctx, updates)
}

// pullOutcome says what is to become of a ref here. What the upstream has of it
// has to be whole, even if it is not taken.
func (r *syncRun) pullOutcome(ctx context.Context, names *refNames, u cairn.RefUpdate) (cairn.SyncOutcome, error) {
	if u.Old == u.New {
		return cairn.RefUnchanged, nil
	}
	if err := r.connected(ctx, u.New); err != nil {
		return "", err
	}
	if t, _, err := r.objects().Header(ctx, u.New); err != nil {
		return "", err
	} else if u.Name.IsBranch() && t != git.CommitObject {
		return cairn.RefRejected, nil
	}
	if u.Old.IsZero() {
		if _, clash := names.add(u.Name); clash {
			return cairn.RefRejected, nil
		}
		return cairn.RefUpdated, nil
	}
	return forwardOutcome(ctx, r.objects(), u)
}

// forwardOutcome says what is to become of a ref that is there, and elsewhere.
func forwardOutcome(ctx context.Context, h history, u cairn.RefUpdate) (cairn.SyncOutcome, error) {
	if u.Name.IsTag() {
		return cairn.RefRejected, nil
	}
	if forward, err := isFastForward(ctx, h, u.Old, u.New); err != nil || !forward {
		return cairn.RefRejected, err
	}
	return cairn.RefUpdated, nil
}

// history are the newest commits that lead to where the refs of the run are
// here: among them are those that the upstream had when they were last the same.
func (r *syncRun) history(ctx context.Context) ([]git.ObjectID, error) {
	var tips []git.ObjectID
	for name := range r.theirs {
		ref, here := r.sn.Ref(name)
		if !here {
			continue
		}
		commit, err := r.sn.PeelToCommit(ctx, ref.Target)
		if err == nil {
			tips = append(tips, commit)
		} else if err := noHistory(err); err != nil {
			return nil, err
		}
	}
	if len(tips) == 0 { // new refs may come from any of the others
		head, _ := r.sn.Ref(r.sn.Repository().DefaultBranch)
		if head.Target.IsZero() {
			return nil, nil
		}
		tips = append(tips, head.Target)
	}
	var haves []git.ObjectID
	walk := graph.NewWalk(r.sn, tips, nil)
	for len(haves) < maxHaves {
		id, _, more, err := walk.Next(ctx)
		if err != nil || !more {
			return haves, err
		}
		haves = append(haves, id)
	}
	return haves, nil
}

// push gives the upstream the refs that are here, where that moves its own
// forward.
func (r *syncRun) push(ctx context.Context) error {
	var err error
	if r.sn, err = r.s.store.SnapshotOf(ctx, r.key); err != nil {
		return err
	}
	remote, err := r.s.remoteOf(ctx, r.repo)
	if err != nil {
		return err
	}
	if r.session, err = r.s.upstreams.OpenPush(ctx, remote); err != nil {
		return err
	}
	if err := r.checkFormat(); err != nil {
		return err
	}
	updates, theirs, err := r.pushUpdates(ctx)
	if err != nil || len(updates) == 0 {
		return err
	}
	return r.sendUpdates(ctx, updates, theirs)
}

// pushUpdates are the refs of the upstream to move, and all that it has.
func (r *syncRun) pushUpdates(ctx context.Context) (updates []cairn.RefUpdate, theirs []git.ObjectID, err error) {
	isChosen, err := refChoice(r.log.Branches, r.log.Tags)
	if err != nil {
		return nil, nil, err
	}
	at := make(map[git.RefName]git.ObjectID, len(r.session.Refs))
	for _, ref := range r.session.Refs {
		at[ref.Name] = ref.ID
		theirs = append(theirs, ref.ID)
	}
	for _, ref := range r.sn.Refs() {
		if !isChosen(ref.Name) {
			continue
		}
		u := cairn.RefUpdate{Name: ref.Name, Old: at[ref.Name], New: ref.Target}
		outcome := cairn.RefUpdated
		switch {
		case u.Old == u.New:
			outcome = cairn.RefUnchanged
		case !u.Old.IsZero():
			if outcome, err = forwardOutcome(ctx, r.sn, u); err != nil {
				return nil, nil, err
			}
		}
		if outcome == cairn.RefUpdated {
			updates = append(updates, u)
			continue
		}
		r.note(cairn.SyncRef{Name: u.Name, Before: u.Old, After: u.New, Outcome: outcome})
	}
	return updates, theirs, nil
}

// sendUpdates pushes, each ref for itself: what the upstream refuses stays as it
// is there.
func (r *syncRun) sendUpdates(ctx context.Context, updates []cairn.RefUpdate, theirs []git.ObjectID) error {
	out, err := r.sn.Outgoing(ctx, updates, nil, theirs)
	if err != nil {
		return err
	}
	defer out.Close()
	commands := make([]protocol.RefUpdate, len(updates))
	for i, u := range updates {
		commands[i] = protocol.RefUpdate{Name: string(u.Name), Old: u.Old, New: u.New}
	}
	report, err := r.session.Push(ctx, commands, false, func(w io.Writer) error { return out.Write(ctx, w) })
	if err != nil {
		return err
	}
	if report.Unpack != "" {
		return cairn.Errorf(cairn.Invalid, "the upstream refuses the objects: %s", report.Unpack)
	}
	done := make(map[string]bool, len(report.Results))
	for _, result := range report.Results {
		done[result.Name] = result.Reason == ""
	}
	for _, u := range updates {
		ref := updated(u)
		if !done[string(u.Name)] {
			ref.Outcome = cairn.RefRejected
		}
		r.note(ref)
	}
	return nil
}

// refChoice returns what tells whether a run is about a ref: by the short names
// of branches and of tags, in which "*" stands for any text and "?" for one
// character. An empty pattern matches nothing.
func refChoice(branches, tags string) (func(git.RefName) bool, error) {
	ofBranch, err := namePattern(branches)
	if err != nil {
		return nil, err
	}
	ofTag, err := namePattern(tags)
	if err != nil {
		return nil, err
	}
	return func(name git.RefName) bool {
		switch {
		case name.IsBranch():
			return branches != "" && ofBranch(name.Short())
		case name.IsTag():
			return tags != "" && ofTag(name.Short())
		}
		return false
	}, nil
}
