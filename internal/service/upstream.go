package service

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/git/protocol"
	"github.com/cairn-storage/cairn/internal/upstream"
)

// defaultHosts are the hosts of the providers that have one.
var defaultHosts = map[cairn.Provider]string{
	cairn.GitHub: "github.com", cairn.GitLab: "gitlab.com", cairn.Bitbucket: "bitbucket.org",
	cairn.Codeberg: "codeberg.org", cairn.SourceHut: "git.sr.ht",
	cairn.Gitea: "", cairn.Forgejo: "",
}

// Access is how a repository is let into its upstream.
type Access string

// The ways in.
const (
	// AppAccess is that of an application which the provider knows. This server
	// is none at GitHub; for other providers it means a credential that is
	// stored later.
	AppAccess Access = ""
	// PublicAccess is without a credential.
	PublicAccess Access = "public"
	// CredentialAccess is with a stored credential, given now or later.
	CredentialAccess Access = "credential"
)

// NewMirror says what repository to create and what it follows.
type NewMirror struct {
	Name          cairn.RepositoryName
	DefaultBranch string // short; what HEAD names until the first sync
	Provider      string
	Host          string // empty means the provider's own
	Owner         string
	UpstreamName  string
	// UpstreamBranch is the short name of the default branch, if the upstream
	// has it; empty means the upstream's own.
	UpstreamBranch string
	Access         Access
	// Once takes over what the upstream has, and then follows it no more.
	Once        bool
	Description string
	Public      bool // everybody may read the new repository
	// FoldName and Number are those of NewRepository.
	FoldName, Number bool
	// Username and Password are a credential to store; without a password there
	// is none yet.
	Username, Password string
	ImportMembers      bool // as with NewRepository
}

// verifyTime bounds how long a creation waits for the upstream.
const verifyTime = 20 * time.Second

// CreateMirror makes a repository that follows one on another server. If all
// that is needed to read the upstream is there, its first sync begins at once;
// else it begins with PullUpstream. An upstream that is to be public is asked
// first whether it is.
func (s *Service) CreateMirror(ctx context.Context, who cairn.Actor, in NewMirror) (cairn.Repository, error) {
	if err := authorizeNew(who, in.Name); err != nil {
		return cairn.Repository{}, err
	}
	row, err := s.mirrorRow(who, in)
	if err != nil {
		return cairn.Repository{}, err
	}
	if in.Access == PublicAccess {
		if err := s.verifyPublic(ctx, row.Upstream); err != nil {
			return cairn.Repository{}, err
		}
	}
	var sealed *cairn.Credential
	if in.Password != "" {
		c, err := s.newCredential(row.RepositoryKey, in.Username, in.Password)
		if err != nil {
			return cairn.Repository{}, err
		}
		sealed = &c
	}
	row.Syncing = in.Access == PublicAccess || sealed != nil
	err = s.tell(ctx, func(tx cairn.Tx, told *facts) error {
		watched, _, err := addRepository(tx, row, in.FoldName, in.Number)
		if err == nil && in.ImportMembers {
			err = importMembers(tx, who, row)
		}
		if err == nil && watched {
			err = s.announceRepository(tx, row, repositoryEvent{who: who, kind: repositoryCreated}, told)
		}
		if err != nil {
			return err
		}
		if sealed != nil {
			if err := tx.Credentials().Create(*sealed); err != nil {
				return err
			}
		}
		if row.Syncing {
			return s.requestFollow(tx, row)
		}
		return tx.Upstreams().PutSync(cairn.Sync{RepositoryKey: row.RepositoryKey, Status: cairn.SyncNever})
	})
	if err != nil {
		return cairn.Repository{}, creationError(err, in.Name)
	}
	if row.Syncing {
		s.syncEnqueued()
	}
	return row, nil
}

// mirrorRow is the row of a new repository that follows an upstream.
func (s *Service) mirrorRow(who cairn.Actor, in NewMirror) (cairn.Repository, error) {
	row := newRepository(who.Organization, in.Name)
	row.CreatedAt = s.now().UTC()
	row.Format = git.SHA1
	row.Description, row.Public = in.Description, in.Public
	var err error
	if err = cairn.CheckText("description", in.Description, maxDescription); err != nil {
		return row, err
	}
	if row.Upstream, err = s.parseUpstream(in); err != nil {
		return row, err
	}
	if in.DefaultBranch == "" {
		in.DefaultBranch = defaultBranchName
	}
	if row.DefaultBranch, err = parseDefaultBranch(in.DefaultBranch); err != nil {
		return row, err
	}
	if in.UpstreamBranch != "" {
		if _, err = parseDefaultBranch(in.UpstreamBranch); err != nil {
			return row, err
		}
	}
	switch {
	case in.Access != AppAccess && in.Access != PublicAccess && in.Access != CredentialAccess:
		return row, cairn.Errorf(cairn.Invalid, "auth_type %q is unknown: use public or credential", cairn.Clip(string(in.Access)))
	case in.Access != CredentialAccess && in.Password != "":
		return row, cairn.Errorf(cairn.Invalid, "a password comes with auth_type credential")
	case in.Access == AppAccess && row.Upstream.Provider == cairn.GitHub:
		return row, cairn.Errorf(cairn.Unconfigured,
			"no GitHub App is configured on this server: use auth_type public for a public repository, or credential with a token")
	}
	return row, nil
}

// parseUpstream checks what names an upstream. Nothing of it comes into an
// address before it is known to be harmless there.
func (s *Service) parseUpstream(in NewMirror) (cairn.Upstream, error) {
	u := cairn.Upstream{
		Provider: cairn.Provider(in.Provider), Owner: in.Owner, Name: strings.TrimSuffix(in.UpstreamName, ".git"),
		DefaultBranch: in.UpstreamBranch, Once: in.Once,
	}
	if in.Provider == "sourcehut" {
		u.Provider = cairn.SourceHut
	}
	host, known := defaultHosts[u.Provider]
	if !known {
		return u, cairn.Errorf(cairn.Invalid,
			"provider %q is unknown: use github, gitlab, bitbucket, gitea, forgejo, codeberg or sr.ht; code is for forks", cairn.Clip(in.Provider))
	}
	if in.Host != "" {
		host = in.Host
	}
	if host == "" {
		return u, cairn.Errorf(cairn.Invalid, "upstream_host is required: %s has no host of its own", u.Provider)
	}
	var err error
	if u.Host, err = s.parseUpstreamHost(host); err != nil {
		return u, err
	}
	if u.Provider == cairn.SourceHut && !strings.HasPrefix(u.Owner, "~") {
		u.Owner = "~" + u.Owner
	}
	for i, segment := range append(strings.Split(u.Owner, "/"), u.Name) {
		if !isUpstreamSegment(segment) || i > maxUpstreamGroups {
			return u, cairn.Errorf(cairn.Invalid, "owner %q and name %q do not name a repository of %s", cairn.Clip(in.Owner), cairn.Clip(in.UpstreamName), u.Provider)
		}
	}
	return u, nil
}

// parseUpstreamURL reads an upstream that is named by its address.
func (s *Service) parseUpstreamURL(text string) (cairn.Upstream, error) {
	bad := func(err error) (cairn.Upstream, error) {
		return cairn.Upstream{}, cairn.Errorf(cairn.Invalid, "upstream url: %w", err)
	}
	address, err := s.egress.Address(text)
	if err != nil {
		return bad(err)
	}
	path := strings.Trim(address.Path, "/")
	if path == "" || address.RawQuery != "" || address.ForceQuery {
		return bad(errors.New("it is not of the form https://host/path/of/repository.git"))
	}
	slash := strings.LastIndexByte(path, '/')
	return cairn.Upstream{
		Provider: cairn.AnyGit, Host: strings.ToLower(address.Host), Owner: path[:max(slash, 0)], Name: strings.TrimSuffix(path[slash+1:], ".git"),
		URL: strings.TrimRight(text, "/"),
	}, nil
}

// maxUpstreamGroups is how deep an owner may be, as groups at GitLab are.
const maxUpstreamGroups = 20

// isUpstreamSegment tells whether text can be a segment of an upstream's path:
// nothing that an address, a path or a command line would take for more.
func isUpstreamSegment(s string) bool {
	if s == "" || len(s) > cairn.MaxRepositoryName || s[0] == '-' || s[0] == '.' && strings.Trim(s, ".") == "" {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !isAlphanumeric(c) && c != '-' && c != '_' && c != '.' && (c != '~' || i > 0) {
			return false
		}
	}
	return s != "~"
}

func isAlphanumeric(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// parseUpstreamHost takes a host name, which is called over https. An address,
// with or without a port, is for servers in the operator's own ranges, which
// are called over plain http.
func (s *Service) parseUpstreamHost(host string) (string, error) {
	if address, ok := literalAddress(host); ok {
		if s.isPlain(address) {
			return host, nil
		}
		return "", cairn.Errorf(cairn.Invalid, "upstream_host %q: an address is only for servers in the ranges of egress-allow", cairn.Clip(host))
	}
	host = strings.ToLower(host)
	labels := strings.Split(host, ".")
	ok := len(host) <= 253 && len(labels) > 1
	for _, label := range labels {
		ok = ok && len(label) > 0 && len(label) <= 63 && label[0] != '-' && label[len(label)-1] != '-'
		for i := range len(label) {
			ok = ok && (isAlphanumeric(label[i]) || label[i] == '-')
		}
	}
	// What ends in a number is an address in one of its odd forms.
	if last := labels[len(labels)-1]; !ok || last[0] >= '0' && last[0] <= '9' {
		return "", cairn.Errorf(cairn.Invalid, "upstream_host %q is not a host name: give it without scheme, port and path", cairn.Clip(host))
	}
	return host, nil
}

// literalAddress reads a host that is an address, perhaps with a port.
func literalAddress(host string) (netip.Addr, bool) {
	if withPort, err := netip.ParseAddrPort(host); err == nil {
		return withPort.Addr(), withPort.Addr().Zone() == ""
	}
	address, err := netip.ParseAddr(host)
	return address, err == nil && address.Zone() == "" && address.Is4()
}

// isPlain tells whether a server of that address is called over plain http.
func (s *Service) isPlain(address netip.Addr) bool {
	for _, prefix := range s.plainUpstreams {
		if prefix.Contains(address.Unmap()) {
			return true
		}
	}
	return false
}

// upstreamURL is the address of an upstream: that which was given, or one made
// of parts that parseUpstream let pass, and escaped nevertheless.
func (s *Service) upstreamURL(u cairn.Upstream) string {
	if u.URL != "" {
		return u.URL
	}
	scheme := "https"
	if address, ok := literalAddress(u.Host); ok && s.isPlain(address) {
		scheme = "http"
	}
	var path strings.Builder
	for segment := range strings.SplitSeq(u.Owner+"/"+u.Name, "/") {
		path.WriteString("/" + url.PathEscape(segment))
	}
	if u.Provider != cairn.SourceHut {
		path.WriteString(".git")
	}
	return scheme + "://" + u.Host + path.String()
}

// verifyPublic asks an upstream whether it can be read without a credential.
func (s *Service) verifyPublic(ctx context.Context, u cairn.Upstream) error {
	ctx, cancel := context.WithTimeout(ctx, verifyTime)
	defer cancel()
	_, err := s.upstreams.OpenFetch(ctx, upstream.Remote{URL: s.upstreamURL(u)})
	var failed *upstream.Error
	switch {
	case !errors.As(err, &failed):
		return err
	case failed.Temporary:
		return cairn.Errorf(cairn.Unavailable, "%w", failed)
	}
	return cairn.Errorf(cairn.Invalid, "%s/%s cannot be read without a credential: %w", u.Owner, u.Name, failed)
}

// errFirstSync is the answer to whoever wants to read or write a repository
// that is only coming into being.
var errFirstSync = cairn.Errorf(cairn.Conflict, "repository sync in progress. please retry shortly")

// PullUpstream has a repository take over what its upstream has now. The work
// is done in the background; what is asked for while it waits or runs becomes
// one with it, and is done after that moment. All branches and tags follow,
// whichever is named: the name is what a ref policy is asked about. A repository
// that does not follow its upstream is only moved forward.
func (s *Service) PullUpstream(ctx context.Context, who cairn.Actor, name cairn.RepositoryName, branch string) error {
	if err := authorize(who, name, cairn.GitWrite); err != nil {
		return err
	}
	err := s.metadata.Update(ctx, func(tx cairn.Tx) error {
		repo, err := findRepository(tx, who, name)
		if err != nil {
			return err
		}
		if repo.Upstream.IsZero() {
			return noUpstream(name)
		}
		ref := repo.DefaultBranch
		if branch != "" {
			if ref, err = parseDefaultBranch(branch); err != nil {
				return cairn.Errorf(cairn.Invalid, "ref: %w", err)
			}
		}
		if err := checkNoPush(who, repo, ref); err != nil {
			return err
		}
		if repo.Upstream.Follows() {
			return s.requestFollow(tx, repo)
		}
		_, err = s.enqueueForward(tx, repo, SyncRequest{cairn.Pull, AllRefs, AllRefs})
		return err
	})
	if err != nil {
		return err
	}
	s.syncEnqueued()
	return nil
}

// syncState returns what is known of a repository's syncs.
func syncState(tx cairn.Tx, key cairn.RepositoryKey) (cairn.Sync, error) {
	state, err := tx.Upstreams().Sync(key)
	if errors.Is(err, cairn.NotFound) {
		return cairn.Sync{RepositoryKey: key, Status: cairn.SyncNever}, nil
	}
	return state, err
}

// SyncState tells how far a repository is with its upstream, to whoever has any
// right to it.
func (s *Service) SyncState(ctx context.Context, who cairn.Actor, repo cairn.Repository) (state cairn.Sync, err error) {
	if err := authorizeAny(who, repo.Name); err != nil {
		return state, err
	}
	err = s.metadata.View(ctx, func(tx cairn.Tx) error {
		state, err = syncState(tx, repo.RepositoryKey)
		return err
	})
	return state, err
}

// Detach ends the link of a repository to its upstream: what it holds stays,
// the credential goes. A repository without an upstream stays as it is.
func (s *Service) Detach(ctx context.Context, who cairn.Actor, name cairn.RepositoryName) error {
	if err := authorize(who, name, cairn.GitWrite); err != nil {
		return err
	}
	err := s.metadata.Update(ctx, func(tx cairn.Tx) error {
		repo, err := findRepository(tx, who, name)
		if err != nil || repo.Upstream.IsZero() {
			return err
		}
		return detach(tx, repo.RepositoryKey)
	})
	if err != nil && cairn.KindOf(err) == cairn.Internal {
		return fmt.Errorf("detach %s: %w", name, err)
	}
	return err
}

func detach(tx cairn.Tx, key cairn.RepositoryKey) error {
	if err := deleteCredentialOf(tx, key); err != nil {
		return err
	}
	return link(tx, key, cairn.Upstream{})
}

// link gives a repository another upstream, or none. What is known of the one
// before is forgotten.
func link(tx cairn.Tx, key cairn.RepositoryKey, u cairn.Upstream) error {
	if _, err := tx.Repositories().Advance(key); err != nil {
		return err
	}
	if err := tx.Repositories().SetUpstream(key, u, false); err != nil {
		return err
	}
	return tx.Upstreams().Forget(key)
}

// remoteOf is how to reach the upstream of a repository, with its credential if
// it has one.
func (s *Service) remoteOf(ctx context.Context, repo cairn.Repository) (upstream.Remote, error) {
	remote := upstream.Remote{URL: s.upstreamURL(repo.Upstream)}
	login, err := s.login(ctx, repo.RepositoryKey)
	if err == nil && login != nil {
		remote.Username, remote.Password = login.Username, login.Password
	}
	return remote, err
}

// upstreamError makes the failure of an upstream the answer to a caller.
func upstreamError(err error) error {
	var failed *upstream.Error
	switch {
	case !errors.As(err, &failed):
		return err
	case failed.Temporary:
		return cairn.Errorf(cairn.Unavailable, "%w", failed)
	case protocol.IsRemote(failed):
		return cairn.Errorf(cairn.Conflict, "%w", failed)
	}
	return cairn.Errorf(cairn.Denied, "%w", failed)
}
