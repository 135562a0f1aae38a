package service

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/cairn-storage/cairn/internal/admission"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/git/protocol"
	"github.com/cairn-storage/cairn/internal/odb"
	"github.com/cairn-storage/cairn/internal/upstream"
)

// pushThrough gives the updates of branches and tags to the upstream, where
// that is the source of truth: for a repository of GitHub with a credential.
// What is ephemeral and notes stay here. Nil means that the upstream has them
// all, or need not; pushed, that it moved refs for it. It tries once.
func (s *Service) pushThrough(ctx context.Context, sn *odb.Snapshot, writes []refWrite) (pushed bool, err error) {
	repo := sn.Repository()
	if repo.Upstream.Provider != cairn.GitHub {
		return false, nil
	}
	updates, packs := outgoing(writes)
	if len(updates) == 0 {
		return false, nil
	}
	remote, err := s.remoteOf(ctx, repo)
	if err != nil || remote.Password == "" {
		return false, err
	}
	pushed, err = s.pushUpdates(ctx, sn, remote, updates, packs)
	if err == nil {
		last := &writes[len(writes)-1]
		last.Also = func(tx cairn.Tx, repo cairn.Repository) error { return trackUpdates(tx, repo.RepositoryKey, updates) }
	}
	return pushed, err
}

// outgoing returns what writes do to the upstream's refs, each ref once, and
// the packs of all of them.
func outgoing(writes []refWrite) (updates []cairn.RefUpdate, packs []odb.Staged) {
	at := map[git.RefName]int{}
	for _, w := range writes {
		packs = append(packs, w.Packs...)
		for _, u := range w.Updates {
			if w.Mirror || !u.Name.IsBranch() && !u.Name.IsTag() {
				continue
			}
			if i, again := at[u.Name]; again {
				updates[i].New = u.New
				continue
			}
			at[u.Name] = len(updates)
			updates = append(updates, u)
		}
	}
	return updates, packs
}

// pushUpdates pushes what the upstream has not yet.
func (s *Service) pushUpdates(ctx context.Context, sn *odb.Snapshot, remote upstream.Remote, updates []cairn.RefUpdate, packs []odb.Staged) (pushed bool, err error) {
	session, err := s.openPush(ctx, remote)
	if err != nil {
		return false, upstreamError(err)
	}
	commands, theirs, err := commandsFor(session, updates)
	if err != nil {
		s.catchUp(ctx, sn.Repository())
		return false, err
	}
	if len(commands) == 0 {
		return false, nil
	}
	out, err := sn.Outgoing(ctx, updates, packs, theirs)
	if err != nil {
		return false, err
	}
	defer out.Close()
	regain := admission.Lend(ctx) // the upstream's time is not the server's
	report, err := session.Push(ctx, commands, true, func(w io.Writer) error { return out.Write(ctx, w) })
	if failed := regain(); failed != nil && err == nil {
		err = failed
	}
	if err == nil {
		err = refusalOf(report, commands)
	} else {
		err = upstreamError(err)
	}
	if err != nil {
		// Some of it may have happened.
		s.catchUp(ctx, sn.Repository())
		return false, err
	}
	return true, nil
}

func (s *Service) openPush(ctx context.Context, remote upstream.Remote) (*upstream.Session, error) {
	regain := admission.Lend(ctx)
	session, err := s.upstreams.OpenPush(ctx, remote)
	if failed := regain(); failed != nil {
		return nil, failed
	}
	return session, err
}

// commandsFor are the updates that the upstream needs, from where its refs are,
// and all that it has. A ref that is elsewhere than it was here is a Conflict:
// whoever writes has not seen what the upstream has.
func commandsFor(session *upstream.Session, updates []cairn.RefUpdate) (commands []protocol.RefUpdate, theirs []git.ObjectID, err error) {
	at := make(map[git.RefName]git.ObjectID, len(session.Refs))
	for _, ref := range session.Refs {
		at[ref.Name] = ref.ID
		theirs = append(theirs, ref.ID)
	}
	for _, u := range updates {
		switch present := at[u.Name]; {
		case present == u.New: // as after a push whose end was lost
		case present == u.Old, present.IsZero():
			commands = append(commands, protocol.RefUpdate{Name: string(u.Name), Old: present, New: u.New})
		default:
			return nil, nil, cairn.Errorf(cairn.Conflict, "the upstream has %q at %s; it is being pulled, fetch and try again", cairn.Clip(u.Name.Short()), present)
		}
	}
	return commands, theirs, nil
}

// refusalOf is the error of a push of which the upstream did not do all.
func refusalOf(report protocol.PushReport, commands []protocol.RefUpdate) error {
	said := ""
	if report.Messages != "" {
		said = ": " + report.Messages
	}
	if report.Unpack != "" {
		return cairn.Errorf(cairn.Denied, "the upstream refuses the objects: %s%s", report.Unpack, said)
	}
	done := make(map[string]bool, len(report.Results))
	for _, r := range report.Results {
		if r.Reason == "" {
			done[r.Name] = true
			continue
		}
		kind := cairn.Denied
		for _, moved := range []string{"non-fast-forward", "fetch first", "failed to update ref", "cannot lock ref", "stale info"} {
			if strings.Contains(r.Reason, moved) {
				kind = cairn.Conflict
			}
		}
		return cairn.Errorf(kind, "the upstream refuses %q: %s%s", cairn.Clip(git.RefName(r.Name).Short()), r.Reason, said)
	}
	for _, c := range commands {
		if !done[c.Name] {
			return cairn.Errorf(cairn.Conflict, "the upstream does not say what became of %q", cairn.Clip(git.RefName(c.Name).Short()))
		}
	}
	return nil
}

// catchUp has the repository pull what its upstream has, after it turned out to
// be elsewhere. That the caller may be gone does not matter.
func (s *Service) catchUp(ctx context.Context, repo cairn.Repository) {
	err := s.metadata.Update(context.WithoutCancel(ctx), func(tx cairn.Tx) error {
		now, err := tx.Repositories().Get(repo.RepositoryKey)
		if err != nil || now.Upstream.IsZero() || !now.DeletedAt.IsZero() {
			return err
		}
		return s.requestFollow(tx, now)
	})
	if err != nil {
		s.logger.Warn("sync not requested", "repository_id", repo.Repository, "error", fmt.Errorf("request a sync: %w", err))
		return
	}
	s.syncEnqueued()
}
