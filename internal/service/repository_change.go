package service

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/cairn-storage/cairn/internal/admission"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
)

// LabelledRepository is a repository with what its users noted about it.
type LabelledRepository struct {
	cairn.Repository
	Labels cairn.Labels
	Head   git.ChangeID  // at the tip of the default branch
	Link   *UpstreamLink // nil without an upstream
}

// LabelledRepository returns a repository with its labels, to whoever has any
// right to it.
func (s *Service) LabelledRepository(ctx context.Context, who cairn.Actor, name cairn.RepositoryName) (found LabelledRepository, err error) {
	if err := authorizeAny(who, name); err != nil {
		return found, err
	}
	err = s.metadata.View(ctx, func(tx cairn.Tx) (err error) {
		if found.Repository, err = findRepository(tx, who, name); err != nil {
			return err
		}
		if found.Labels, err = tx.Repositories().Labels(found.RepositoryKey); err != nil {
			return err
		}
		found.Link, err = s.readLink(tx, found.Repository)
		return err
	})
	if err == nil {
		found.Head, err = s.headChange(ctx, found.Repository)
	}
	return found, err
}

// RepositoryChange says what to change of a repository; what is nil stays.
type RepositoryChange struct {
	Name          *cairn.RepositoryName
	DefaultBranch *string            // short; it need not exist yet
	Labels        map[string]*string // a nil value takes one away
	Upstream      *UpstreamChange
}

// UpdateRepository changes a repository. Its id stays, and all that goes by
// that: keys, webhooks, the upstream.
func (s *Service) UpdateRepository(ctx context.Context, who cairn.Actor, name cairn.RepositoryName, in RepositoryChange) (changed LabelledRepository, err error) {
	if err := authorize(who, name, cairn.RepoWrite); err != nil {
		return changed, err
	}
	var branch git.RefName
	if in.DefaultBranch != nil {
		if branch, err = parseDefaultBranch(*in.DefaultBranch); err != nil {
			return changed, err
		}
	}
	if in.Name != nil {
		if _, err := cairn.ParseRepositoryName(string(*in.Name)); err != nil {
			return changed, err
		}
	}
	err = s.tell(ctx, func(tx cairn.Tx, told *facts) error {
		found, err := findRepository(tx, who, name)
		if err != nil {
			return err
		}
		changed = LabelledRepository{Repository: found}
		if err := changeRow(tx, &changed.Repository, in.Name, branch); err != nil {
			return err
		}
		before, err := tx.Repositories().Labels(found.RepositoryKey)
		if err != nil {
			return err
		}
		if changed.Labels, err = changedLabels(before, in.Labels, asGiven); err != nil {
			return err
		}
		if len(in.Labels) > 0 {
			if err := tx.Repositories().SetLabels(found.RepositoryKey, changed.Labels); err != nil {
				return err
			}
		}
		if in.Upstream != nil {
			if err := in.Upstream.change(tx, s, &changed.Repository); err != nil {
				return err
			}
		}
		if changed.Link, err = s.readLink(tx, changed.Repository); err != nil {
			return err
		}
		return s.announceRepository(tx, changed.Repository, repositoryEvent{who: who, kind: repositoryChanged, before: found, labelsBefore: before}, told)
	})
	if err != nil {
		return changed, err
	}
	s.streams.wake(changed.RepositoryKey)
	changed.Head, err = s.headChange(ctx, changed.Repository)
	return changed, err
}

// changeRow changes what of a repository lies in its row.
func changeRow(tx cairn.Tx, r *cairn.Repository, name *cairn.RepositoryName, branch git.RefName) error {
	renamed := name != nil && *name != r.Name
	switched := branch != "" && branch != r.DefaultBranch
	if !renamed && !switched {
		return nil
	}
	advanced, err := tx.Repositories().Advance(r.RepositoryKey)
	if err != nil {
		return err
	}
	if renamed {
		if err := tx.Repositories().Rename(r.RepositoryKey, *name); errors.Is(err, cairn.Conflict) {
			return cairn.Errorf(cairn.Conflict, "repository %q already exists", cairn.Clip(string(*name)))
		} else if err != nil {
			return err
		}
		advanced.Name = *name
	}
	if switched {
		if err := tx.Repositories().SetDefaultBranch(r.RepositoryKey, branch); err != nil {
			return err
		}
		advanced.DefaultBranch = branch
	}
	*r = advanced
	return nil
}

// maxLabelledAtOnce is how many repositories one call labels.
const maxLabelledAtOnce = 100

// LabelRepositories gives a label to repositories, or with a nil value takes it
// away, all or none of them. It returns how many there are.
func (s *Service) LabelRepositories(ctx context.Context, who cairn.Actor, ids []cairn.RepositoryID, label string, value *string) (int, error) {
	if len(ids) == 0 || len(ids) > maxLabelledAtOnce {
		return 0, cairn.Errorf(cairn.Invalid, "name 1 to %d repositories", maxLabelledAtOnce)
	}
	if err := mayManage(who, cairn.RepoWrite, ids); err != nil {
		return 0, err
	}
	ids = slices.Compact(slices.Sorted(slices.Values(ids)))
	err := s.tell(ctx, func(tx cairn.Tx, told *facts) error {
		if err := checkRepositories(tx, who, ids); err != nil {
			return err
		}
		var later error // what has to be read for one is asked for with that of the others
		for _, id := range ids {
			err := s.labelRepository(tx, who, id, label, value, told)
			if errors.Is(err, errFactsWanted) {
				later = err
			} else if err != nil {
				return err
			}
		}
		return later
	})
	return len(ids), err
}

func (s *Service) labelRepository(tx cairn.Tx, who cairn.Actor, id cairn.RepositoryID, label string, value *string, told *facts) error {
	found, err := tx.Repositories().Get(cairn.RepositoryKey{Organization: who.Organization.ID, Repository: id})
	if err != nil {
		return err
	}
	before, err := tx.Repositories().Labels(found.RepositoryKey)
	if err != nil {
		return err
	}
	after, err := changedLabels(before, map[string]*string{label: value}, asGiven)
	if err != nil {
		return err
	}
	if err := tx.Repositories().SetLabels(found.RepositoryKey, after); err != nil {
		return err
	}
	return s.announceRepository(tx, found, repositoryEvent{who: who, kind: repositoryChanged, before: found, labelsBefore: before}, told)
}

// LabelQuery says which repositories to list.
type LabelQuery struct {
	// Wanted tells by its labels whether a repository is; nil means all. Text
	// says the same as text, which cursors are bound to.
	Wanted func(cairn.Labels) bool
	Text   string
	Cursor string
	Limit  int
}

// LabelledPage is a part of a list of repositories.
type LabelledPage struct {
	Repositories []LabelledRepository
	Next         string // the cursor of the next page; empty at the end
}

// Bounds of listings by label.
const (
	labelledPerPage    = 50
	maxLabelledPerPage = 100
	// maxLabelsScanned is how many repositories one page looks at.
	maxLabelsScanned = 5_000
	labelsScanBatch  = 500
)

// mayList answers Denied unless the actor may list repositories, all or those
// that its credential is good for.
func mayList(who cairn.Actor) error {
	if who.Reach != nil {
		who.Reach = new(cairn.Reach)
	}
	return authorize(who, "", cairn.OrgRead)
}

// ListLabelled returns by name the repositories of the organization that the
// actor's credential is good for and whose labels are wanted. A page may have
// fewer than were asked for, and others follow it.
func (s *Service) ListLabelled(ctx context.Context, who cairn.Actor, q LabelQuery) (LabelledPage, error) {
	if err := mayList(who); err != nil {
		return LabelledPage{}, err
	}
	listing := query{"labelled repositories", string(who.Organization.ID), q.Text}
	position, err := listing.position(q.Cursor, 1)
	if err != nil {
		return LabelledPage{}, err
	}
	var after cairn.RepositoryName
	if position != nil {
		after = cairn.RepositoryName(position[0])
	}
	limit := clampLimit(q.Limit, labelledPerPage, maxLabelledPerPage)
	var page LabelledPage
	err = s.metadata.View(ctx, func(tx cairn.Tx) error {
		page = LabelledPage{}
		for scanned := 0; ; scanned += labelsScanBatch {
			batch, err := reachedRepositories(tx, who, after, labelsScanBatch)
			if err != nil {
				return err
			}
			for _, r := range batch {
				if len(page.Repositories) == limit {
					page.Next = listing.cursor(string(after))
					return nil
				}
				labels, err := tx.Repositories().Labels(r.RepositoryKey)
				if err != nil {
					return err
				}
				if q.Wanted == nil || q.Wanted(labels) {
					link, err := s.readLink(tx, r)
					if err != nil {
						return err
					}
					page.Repositories = append(page.Repositories, LabelledRepository{Repository: r, Labels: labels, Link: link})
				}
				after = r.Name
			}
			if len(batch) < labelsScanBatch {
				return nil
			}
			if scanned+labelsScanBatch >= maxLabelsScanned {
				page.Next = listing.cursor(string(after))
				return nil
			}
		}
	})
	if err != nil {
		return LabelledPage{}, fmt.Errorf("list repositories: %w", err)
	}
	if err := admission.Enter(ctx, admission.List); err != nil {
		return LabelledPage{}, err
	}
	for i := range page.Repositories {
		r := &page.Repositories[i]
		if r.Head, err = s.headChange(ctx, r.Repository); err != nil {
			return LabelledPage{}, err
		}
	}
	return page, nil
}

// reachedRepositories returns up to limit repositories by name, after the given
// one, that the actor's credential is good for.
func reachedRepositories(tx cairn.Tx, who cairn.Actor, after cairn.RepositoryName, limit int) ([]cairn.Repository, error) {
	if who.Admin || who.Reach == nil || who.Reach.All() {
		return tx.Repositories().List(who.Organization.ID, "", after, limit)
	}
	var found []cairn.Repository
	add := func(r cairn.Repository, err error) error {
		switch {
		case errors.Is(err, cairn.NotFound):
			return nil
		case err != nil:
			return err
		case r.DeletedAt.IsZero() && r.Name > after && (who.Reach.IDs == nil || slices.Contains(who.Reach.IDs, r.Repository)):
			found = append(found, r)
		}
		return nil
	}
	for name := range who.Reach.Names {
		if err := add(tx.Repositories().Find(who.Organization.ID, name)); err != nil {
			return nil, err
		}
	}
	if who.Reach.Names == nil {
		for _, id := range who.Reach.IDs {
			if err := add(tx.Repositories().Get(cairn.RepositoryKey{Organization: who.Organization.ID, Repository: id})); err != nil {
				return nil, err
			}
		}
	}
	slices.SortFunc(found, func(a, b cairn.Repository) int { return cmp.Compare(a.Name, b.Name) })
	return found[:min(len(found), limit)], nil
}

// OrganizationSize tells how many repositories the actor's organization has, to
// whoever may list them.
func (s *Service) OrganizationSize(ctx context.Context, who cairn.Actor) (repositories int, err error) {
	if err := mayList(who); err != nil {
		return 0, err
	}
	err = s.metadata.View(ctx, func(tx cairn.Tx) error {
		_, repositories, err = tx.Repositories().Page(who.Organization.ID, "", "", 0, 0)
		return err
	})
	return repositories, err
}
