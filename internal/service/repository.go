package service

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/odb"
)

// Bounds of listings of repositories.
const (
	repositoriesPerPage    = 20
	maxRepositoriesPerPage = 1000
)

// defaultBranchName is what HEAD of a new repository names, unless its creator
// says otherwise.
const defaultBranchName = "main"

// NewRepository says what to create.
type NewRepository struct {
	Name          cairn.RepositoryName
	DefaultBranch string // short; empty means main
	Description   string
	Public        bool // everybody may read it
	Labels        cairn.Labels
	Upstream      UpstreamChange // without an address: none
	First         *FirstCommit   // nil: it is empty
	// ImportMembers makes the members of the project in which it lies its
	// collaborators.
	ImportMembers bool
	// FoldName refuses the name also if there is one that differs by case only.
	FoldName bool
	// Number gives it its number at once, in the same transaction: for who shows
	// the number next.
	Number bool
}

// maxDescription is the longest description of a repository in bytes: 2,000
// characters of any kind.
const maxDescription = 8000

// CreateRepository makes a repository, empty or with a first commit; Conflict if
// the name is taken.
// The name of a deleted repository is free again.
func (s *Service) CreateRepository(ctx context.Context, who cairn.Actor, in NewRepository) (cairn.Repository, error) {
	made, _, err := s.createRepository(ctx, who, in)
	return made, err
}

// createRepository returns the number too, if it was asked for.
func (s *Service) createRepository(ctx context.Context, who cairn.Actor, in NewRepository) (row cairn.Repository, n cairn.Number, err error) {
	if err := authorizeNew(who, in.Name); err != nil {
		return row, n, err
	}
	if in.DefaultBranch == "" {
		in.DefaultBranch = defaultBranchName
	}
	branch, err := parseDefaultBranch(in.DefaultBranch)
	if err != nil {
		return row, n, err
	}
	if err := cairn.CheckText("description", in.Description, maxDescription); err != nil {
		return row, n, err
	}
	row = newRepository(who.Organization, in.Name)
	row.DefaultBranch, row.Description, row.Public = branch, in.Description, in.Public
	row.Format = git.SHA1
	row.CreatedAt = s.now().UTC()
	labels, err := changedLabels(nil, setAll(in.Labels), asGiven)
	if err != nil {
		return row, n, err
	}
	if in.Upstream.URL != "" {
		if row.Upstream, err = s.parseUpstreamURL(in.Upstream.URL); err != nil {
			return row, n, err
		}
		row.Upstream.OnDemand = true
	}
	create := func(tx cairn.Tx, told *facts) error {
		var watched bool
		if watched, n, err = addRepository(tx, row, in.FoldName, in.Number); err != nil {
			return err
		}
		if len(labels) > 0 {
			if err := tx.Repositories().SetLabels(row.RepositoryKey, labels); err != nil {
				return err
			}
		}
		if in.ImportMembers {
			if err := importMembers(tx, who, row); err != nil {
				return err
			}
		}
		if watched {
			if err := s.announceRepository(tx, row, repositoryEvent{who: who, kind: repositoryCreated}, told); err != nil {
				return err
			}
		}
		return in.Upstream.changeLogin(tx, s, row.RepositoryKey)
	}
	if in.First != nil {
		err = s.beginRepository(ctx, who, row, *in.First, create)
	} else {
		err = s.tell(ctx, create)
	}
	if err != nil {
		return cairn.Repository{}, n, creationError(err, in.Name)
	}
	return row, n, nil
}

// addRepository stores a new row, with its number if that is wanted; Conflict if
// the name is taken, with foldName in any case. It tells whether somebody is to
// be told of it.
func addRepository(tx cairn.Tx, row cairn.Repository, foldName, number bool) (watched bool, n cairn.Number, err error) {
	if foldName {
		if _, err := tx.Repositories().FindFolded(row.Organization, row.Name); !errors.Is(err, cairn.NotFound) {
			return false, n, cmp.Or(err, error(cairn.Conflict))
		}
	}
	watched, err = tx.Repositories().Create(row)
	if err == nil && number {
		n, err = tx.Numbers().Give(cairn.NumberedRepository(row.RepositoryKey))
	}
	return watched, n, err
}

// NewFork says what to fork and into what.
type NewFork struct {
	Name   cairn.RepositoryName
	Source cairn.RepositoryName
	// SourceActor is who reads the source: the second credential of the
	// request, or the same actor again.
	SourceActor cairn.Actor
	// Ref, a branch or tag of the source, or SHA, a commit of it, make a fork
	// with one branch there. SHA wins. With neither the fork has all branches
	// and tags.
	Ref, SHA      string
	DefaultBranch string // short; empty means the source's
	Description   string
	Public        bool
	ImportMembers bool // as with NewRepository
}

// ForkRepository makes a repository that begins where another one of the same
// organization is now, with no link between the two afterwards. Its cost does
// not depend on the source's size. It needs repo:write for the new name and
// git:read for the source.
func (s *Service) ForkRepository(ctx context.Context, who cairn.Actor, in NewFork) (cairn.Repository, error) {
	if err := authorizeNew(who, in.Name); err != nil {
		return cairn.Repository{}, err
	}
	if err := authorize(in.SourceActor, in.Source, cairn.GitRead); err != nil {
		return cairn.Repository{}, err
	}
	if in.SourceActor.Organization.ID != who.Organization.ID {
		return cairn.Repository{}, cairn.Errorf(cairn.Invalid, "a fork stays within one organization; the token for its source is of another")
	}
	if err := cairn.CheckText("description", in.Description, maxDescription); err != nil {
		return cairn.Repository{}, err
	}
	var branch git.RefName
	if in.DefaultBranch != "" {
		var err error
		if branch, err = parseDefaultBranch(in.DefaultBranch); err != nil {
			return cairn.Repository{}, err
		}
	}
	var made cairn.Repository
	err := onNewState(ctx, func() error {
		var told facts
		return told.whileWanted(ctx, func() (err error) {
			made, err = s.tryFork(ctx, who, in, branch, &told)
			return err
		})
	})
	if err != nil {
		return cairn.Repository{}, err
	}
	s.changed(made.RepositoryKey, 0)
	if made.Watched {
		s.enqueued(WebhookJob)
	}
	return made, nil
}

func (s *Service) tryFork(ctx context.Context, who cairn.Actor, in NewFork, branch git.RefName, told *facts) (cairn.Repository, error) {
	source, start, err := s.forkPoint(ctx, who, in)
	if err != nil {
		return cairn.Repository{}, err
	}
	row := newRepository(who.Organization, in.Name)
	row.Description, row.Public = in.Description, in.Public
	also := func(tx cairn.Tx, made cairn.Repository) error {
		if in.ImportMembers {
			if err := importMembers(tx, who, row); err != nil {
				return err
			}
		}
		if !made.Watched {
			return nil
		}
		return s.announceRepository(tx, made, repositoryEvent{who: who, kind: repositoryForked}, told)
	}
	made, err := s.store.Fork(ctx, source.RepositoryKey, source.Version, who.Name, func(from cairn.Repository, refs []cairn.Ref) (cairn.Repository, []cairn.RefUpdate, error) {
		row.DefaultBranch, row.Parent = from.DefaultBranch, from.Repository
		if branch != "" {
			row.DefaultBranch = branch
		}
		if start.IsZero() {
			return row, copyRefs(refs), nil
		}
		return row, []cairn.RefUpdate{{Name: row.DefaultBranch, New: start}}, nil
	}, also)
	if errors.Is(err, odb.ErrOutdated) || errors.Is(err, errFactsWanted) {
		return cairn.Repository{}, err
	}
	if err != nil {
		return cairn.Repository{}, creationError(err, in.Name)
	}
	return made, nil
}

// forkPoint finds the source and the commit at which a fork with one branch
// starts; zero for a whole fork.
func (s *Service) forkPoint(ctx context.Context, who cairn.Actor, in NewFork) (cairn.Repository, git.ObjectID, error) {
	var start git.ObjectID
	sn, err := s.store.Snapshot(ctx, who.Organization.ID, in.Source)
	if errors.Is(err, cairn.NotFound) {
		return cairn.Repository{}, start, cairn.Errorf(cairn.NotFound, "source repository %q not found", cairn.Clip(string(in.Source)))
	} else if err != nil {
		return cairn.Repository{}, start, err
	}
	defer sn.Close()
	if sn.Repository().Syncing {
		return cairn.Repository{}, start, errFirstSync
	}
	rev := in.Ref
	if in.SHA != "" {
		if rev = strings.ToLower(in.SHA); strings.Trim(rev, "0123456789abcdef") != "" {
			return cairn.Repository{}, start, cairn.Errorf(cairn.Invalid, "sha %q is not a commit id", cairn.Clip(in.SHA))
		}
	}
	if rev != "" {
		if start, err = sn.Resolve(ctx, odb.NormalView, rev, odb.ResolveOptions{}); err != nil {
			return cairn.Repository{}, start, err
		}
	}
	return sn.Repository(), start, nil
}

// copyRefs is what a whole fork begins with: branches and tags. Notes and what
// is ephemeral stay behind.
func copyRefs(refs []cairn.Ref) []cairn.RefUpdate {
	var updates []cairn.RefUpdate
	for _, ref := range refs {
		if ref.Name.IsBranch() || ref.Name.IsTag() {
			updates = append(updates, cairn.RefUpdate{Name: ref.Name, New: ref.Target})
		}
	}
	return updates
}

// Repository returns a repository's row to whoever has any right to it.
func (s *Service) Repository(ctx context.Context, who cairn.Actor, name cairn.RepositoryName) (cairn.Repository, error) {
	if err := authorizeAny(who, name); err != nil {
		return cairn.Repository{}, err
	}
	var found cairn.Repository
	err := s.metadata.View(ctx, func(tx cairn.Tx) (err error) {
		found, err = findRepository(tx, who, name)
		return err
	})
	return found, err
}

// DescribeRepository changes what a repository says of itself, and whether
// everybody may read it.
func (s *Service) DescribeRepository(ctx context.Context, who cairn.Actor, name cairn.RepositoryName, description string, public bool) (cairn.Repository, error) {
	if err := authorize(who, name, cairn.RepoAdmin); err != nil {
		return cairn.Repository{}, err
	}
	if err := cairn.CheckText("description", description, maxDescription); err != nil {
		return cairn.Repository{}, err
	}
	var found cairn.Repository
	err := s.metadata.Update(ctx, func(tx cairn.Tx) (err error) {
		if found, err = findRepository(tx, who, name); err != nil {
			return err
		}
		if found, err = tx.Repositories().Advance(found.RepositoryKey); err != nil {
			return err
		}
		found.Description, found.Public = description, public
		return tx.Repositories().Describe(found.RepositoryKey, description, public)
	})
	return found, err
}

// authorizeAny is authorize for what any right to a repository allows.
func authorizeAny(who cairn.Actor, name cairn.RepositoryName) error {
	err := authorize(who, name, cairn.GitRead)
	if err != nil && authorize(who, name, cairn.RepoWrite) == nil {
		return nil
	}
	return err
}

// RepositoryPage is a part of the list of an organization's repositories.
type RepositoryPage struct {
	Repositories []cairn.Repository
	Next         string // the cursor of the next page; empty at the end
}

// ListRepositories returns the organization's repositories by name, those
// whose name contains the text if there is one, whatever the case.
func (s *Service) ListRepositories(ctx context.Context, who cairn.Actor, text, cursor string, limit int) (RepositoryPage, error) {
	if err := authorize(who, "", cairn.OrgRead); err != nil {
		return RepositoryPage{}, err
	}
	text = strings.TrimSpace(text)
	if len(text) > cairn.MaxRepositoryName {
		return RepositoryPage{}, cairn.Errorf(cairn.Invalid, "the text to look for is longer than %d bytes", cairn.MaxRepositoryName)
	}
	listing := query{"repositories", string(who.Organization.ID), text}
	position, err := listing.position(cursor, 1)
	if err != nil {
		return RepositoryPage{}, err
	}
	var after cairn.RepositoryName
	if position != nil {
		after = cairn.RepositoryName(position[0])
	}
	limit = clampLimit(limit, repositoriesPerPage, maxRepositoriesPerPage)
	var page RepositoryPage
	err = s.metadata.View(ctx, func(tx cairn.Tx) error {
		page.Repositories, err = tx.Repositories().List(who.Organization.ID, text, after, limit+1)
		return err
	})
	if err != nil {
		return RepositoryPage{}, fmt.Errorf("list repositories: %w", err)
	}
	if len(page.Repositories) > limit {
		page.Repositories = page.Repositories[:limit]
		page.Next = listing.cursor(string(page.Repositories[limit-1].Name))
	}
	return page, nil
}

// RepositoriesQuery says which repositories to list, for callers who name pages
// by numbers.
type RepositoriesQuery struct {
	Folder        string // that their names begin with: empty, or ends in a slash
	Text          string // that their names hold after it, whatever the case
	Offset, Limit int
}

// FindRepositories returns repositories of the organization by name, and how
// many there are in all. With a credential for some of them these are all.
func (s *Service) FindRepositories(ctx context.Context, who cairn.Actor, q RepositoriesQuery) (list []cairn.Repository, total int, err error) {
	some := who.Reach
	if some != nil && some.Names == nil {
		who.Reach = new(cairn.Reach)
	}
	if err := authorize(who, "", cairn.OrgRead); err != nil {
		return nil, 0, err
	}
	q.Limit = clampLimit(q.Limit, repositoriesPerPage, maxRepositoriesPerPage)
	err = s.metadata.View(ctx, func(tx cairn.Tx) error {
		if some == nil || some.IDs == nil {
			list, total, err = tx.Repositories().Page(who.Organization.ID, q.Folder, strings.TrimSpace(q.Text), q.Offset, q.Limit)
			return err
		}
		list, err = q.among(tx, who.Organization.ID, some.IDs)
		return err
	})
	if err == nil && some != nil && some.IDs != nil {
		total = len(list)
		list = list[min(q.Offset, total):min(q.Offset+q.Limit, total)]
	}
	return list, total, err
}

// among returns those of some repositories that live and are asked for, by name.
func (q RepositoriesQuery) among(tx cairn.Tx, org cairn.OrganizationID, ids []cairn.RepositoryID) (list []cairn.Repository, err error) {
	for _, id := range ids {
		found, err := tx.Repositories().Get(cairn.RepositoryKey{Organization: org, Repository: id})
		if errors.Is(err, cairn.NotFound) || err == nil && !found.DeletedAt.IsZero() {
			continue
		} else if err != nil {
			return nil, err
		}
		rest, ok := strings.CutPrefix(string(found.Name), q.Folder)
		if ok && strings.Contains(strings.ToLower(rest), strings.ToLower(strings.TrimSpace(q.Text))) {
			list = append(list, found)
		}
	}
	slices.SortFunc(list, func(a, b cairn.Repository) int { return strings.Compare(string(a.Name), string(b.Name)) })
	return list, nil
}

// DeleteRepository takes a repository away at once and frees its name; what it
// held is removed later. A second time it answers NotFound, as for a
// repository that never was: the store does not look for dead names.
func (s *Service) DeleteRepository(ctx context.Context, who cairn.Actor, name cairn.RepositoryName) (cairn.Repository, error) {
	if err := authorize(who, name, cairn.RepoWrite); err != nil {
		return cairn.Repository{}, err
	}
	var found cairn.Repository
	err := s.tell(ctx, func(tx cairn.Tx, told *facts) (err error) {
		if found, err = findRepository(tx, who, name); err != nil {
			return err
		}
		found.DeletedAt = s.now().UTC()
		if err := tx.Repositories().Delete(found.RepositoryKey, found.DeletedAt); err != nil {
			return err
		}
		return s.announceRepository(tx, found, repositoryEvent{who: who, kind: repositoryDeleted}, told)
	})
	if err != nil {
		return cairn.Repository{}, err
	}
	s.streams.wake(found.RepositoryKey) // and so they end
	return found, nil
}

// authorizeNew is authorize for a name that is to be taken, which must be a
// proper one.
func authorizeNew(who cairn.Actor, name cairn.RepositoryName) error {
	if name == "" {
		return cairn.Errorf(cairn.Denied, "the token names no repository")
	}
	if err := authorize(who, name, cairn.RepoWrite); err != nil {
		return err
	}
	_, err := cairn.ParseRepositoryName(string(name))
	return err
}

func newRepository(org cairn.Organization, name cairn.RepositoryName) cairn.Repository {
	return cairn.Repository{
		RepositoryKey: cairn.RepositoryKey{Organization: org.ID, Repository: cairn.RepositoryID(cairn.NewID())},
		Name:          name,
	}
}

// parseDefaultBranch takes a short name, or the full one as git symbolic-ref
// prints it.
func parseDefaultBranch(name string) (git.RefName, error) {
	short := strings.TrimPrefix(name, git.BranchPrefix)
	branch, err := git.BranchRef(short)
	if err == nil && strings.HasPrefix(short, "refs/") {
		err = fmt.Errorf("%q is no branch", cairn.Clip(name))
	}
	if err != nil {
		return "", cairn.Errorf(cairn.Invalid, "default branch: %w", err)
	}
	return branch, nil
}

// findRepository finds a living repository of the actor's organization.
func findRepository(tx cairn.Tx, who cairn.Actor, name cairn.RepositoryName) (cairn.Repository, error) {
	found, err := tx.Repositories().Find(who.Organization.ID, name)
	if errors.Is(err, cairn.NotFound) || err == nil && isOther(who, found.Repository) {
		return cairn.Repository{}, noRepository(name)
	}
	return found, err
}

func creationError(err error, name cairn.RepositoryName) error {
	if errors.Is(err, cairn.Conflict) {
		return cairn.Errorf(cairn.Conflict, "repository %q already exists", name)
	}
	return fmt.Errorf("create repository %s: %w", name, err)
}
