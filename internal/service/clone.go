package service

import (
	"context"
	"net/url"
	"strings"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
)

// ParseCloneAddress takes apart the address of a repository on another server,
// as one would give it to git clone: https://host/owner/name.git. It fills the
// Provider, Host, Owner and UpstreamName of the result; what is wrong with them
// CreateMirror says. An address with a user name or a password in it is
// refused, and never repeated in the error.
func ParseCloneAddress(address string) (in NewMirror, err error) {
	bad := func(why string) (NewMirror, error) {
		return NewMirror{}, cairn.Errorf(cairn.Invalid, "the address %s", why)
	}
	u, err := url.Parse(address)
	switch {
	case err != nil, u.Host == "" && u.Scheme != "file", u.Opaque != "", u.RawQuery != "", u.ForceQuery, u.Fragment != "", u.RawPath != "":
		return bad("is not of the form https://host/owner/name.git")
	case u.User != nil:
		return bad("holds a user name or a password")
	case u.Scheme != "https" && u.Scheme != "http":
		return bad("does not begin with https://")
	}
	if _, literal := literalAddress(u.Host); literal && u.Scheme == "https" {
		return bad("begins with https://, and a server without a name is only called over http://")
	}
	path := strings.Trim(u.Path, "/")
	slash := strings.LastIndexByte(path, '/')
	if slash < 0 {
		return bad("names no owner and repository: it is to be of the form https://host/owner/name.git")
	}
	// Any server has its repositories where Gitea has them.
	return NewMirror{Provider: string(cairn.Gitea), Host: u.Host, Owner: path[:slash], UpstreamName: path[slash+1:]}, nil
}

// How CloneUpstream waits: between two looks, and in all.
const (
	firstLook = 20 * time.Millisecond
	longLook  = time.Second
	cloneWait = 10 * time.Minute
)

// CloneUpstream is CreateMirror for callers who want to find in the repository
// what the upstream has: it returns when the first sync has ended, or still
// goes on after ten minutes. If the first attempt fails, the repository goes
// again and the error says why. When the caller leaves meanwhile, the sync goes
// on.
func (s *Service) CloneUpstream(ctx context.Context, who cairn.Actor, in NewMirror) (cairn.Repository, error) {
	made, err := s.CreateMirror(ctx, who, in)
	if err != nil || !made.Syncing {
		return made, err
	}
	now, state, err := s.awaitFirstSync(ctx, made.RepositoryKey)
	if err != nil || state.Error == "" {
		return now, err
	}
	failure := cairn.Errorf(cairn.Invalid, "cannot clone: %s", state.Error)
	if state.Status == cairn.SyncRetrying {
		failure = cairn.Errorf(cairn.Unavailable, "cannot clone: %s", state.Error)
	}
	who.RepositoryID = made.Repository // and none that has come to the name since
	if _, err := s.DeleteRepository(context.WithoutCancel(ctx), who, in.Name); err != nil && cairn.KindOf(err) != cairn.NotFound {
		return cairn.Repository{}, err
	}
	return cairn.Repository{}, failure
}

// awaitFirstSync looks until an attempt of a repository's first sync has ended.
// It asks the store, as another process may do the work.
func (s *Service) awaitFirstSync(ctx context.Context, key cairn.RepositoryKey) (repo cairn.Repository, state cairn.Sync, err error) {
	end := s.now().Add(cloneWait)
	for wait := firstLook; ; wait = min(2*wait, longLook) {
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return repo, state, ctx.Err()
		case <-timer.C:
		}
		err = s.metadata.View(ctx, func(tx cairn.Tx) error {
			if repo, err = tx.Repositories().Get(key); err != nil {
				return err
			}
			if !repo.DeletedAt.IsZero() {
				return noRepository(repo.Name)
			}
			state, err = syncState(tx, key)
			return err
		})
		if err != nil || !repo.Syncing || state.Error != "" || s.now().After(end) {
			return repo, state, err
		}
	}
}
