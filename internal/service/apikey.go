package service

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/secret"
)

// Bounds of API keys.
const (
	apiKeysPerPage        = 50
	maxAPIKeysPerPage     = 100
	maxAPIKeys            = 10_000 // of one organization that are not revoked or expired
	maxAPIKeyName         = 255
	maxAPIKeyRepositories = 250
	minAPIKeyLife         = 100 * time.Second
	maxAPIKeyLife         = 365 * 24 * time.Hour
	// apiKeysScanned is how many keys one page of a filtered listing looks at.
	apiKeysScanned = 1_000
)

// apiKeyPrefix begins the text of an API key. What follows is the id of its
// organization, its own id and the secret.
const apiKeyPrefix = "mesa_"

// idLength is how long cairn.NewID is.
const idLength = 16

// apiKeyRef is where an API key is found.
type apiKeyRef struct {
	organization cairn.OrganizationID
	id           cairn.APIKeyID
}

// publicAPIKeyPrefix begins an API key's id as it is shown.
const publicAPIKeyPrefix = "key_"

// PublicAPIKeyID is the id of an API key as it is shown, and as the tokens that
// are made from the key name it: it holds the organization's.
func PublicAPIKeyID(org cairn.OrganizationID, id cairn.APIKeyID) string {
	return publicAPIKeyPrefix + string(org) + string(id)
}

// parseAPIKeyRef reads PublicAPIKeyID.
func parseAPIKeyRef(public string) (apiKeyRef, bool) {
	ids, ok := strings.CutPrefix(public, publicAPIKeyPrefix)
	if !ok || len(ids) != 2*idLength {
		return apiKeyRef{}, false
	}
	return apiKeyRef{cairn.OrganizationID(ids[:idLength]), cairn.APIKeyID(ids[idLength:])}, true
}

// newAPIKeyText makes the text of a new key.
func newAPIKeyText(ref apiKeyRef) string {
	var random [32]byte
	rand.Read(random[:])
	return apiKeyPrefix + string(ref.organization) + string(ref.id) + base64.RawURLEncoding.EncodeToString(random[:])
}

// parseAPIKeyText reads where a key is found, if it is there, from its text.
func parseAPIKeyText(text string) (apiKeyRef, bool) {
	rest, ok := strings.CutPrefix(text, apiKeyPrefix)
	if !ok || len(rest) <= 2*idLength {
		return apiKeyRef{}, false
	}
	return parseAPIKeyRef(publicAPIKeyPrefix + rest[:2*idLength])
}

// signingKey is what signs the tokens that are made from an API key: the same
// string is made by the clients' SDKs, so it cannot be salted. It is a secret.
func signingKey(apiKey string) []byte {
	digest := sha256.Sum256([]byte(apiKey))
	return base64.RawURLEncoding.AppendEncode(nil, digest[:])
}

func apiKeyPlace(k cairn.APIKey) secret.Place {
	return secret.Place{Organization: k.Organization, Purpose: "API key", Row: string(k.ID)}
}

// scopesOf returns the rights that an access gives, with those of the lesser
// ones. Making keys is not among them: only the key itself does that.
func scopesOf(list []cairn.Access) []cairn.Scope {
	var scopes []cairn.Scope
	if includes(list, cairn.ReadAccess) {
		scopes = append(scopes, cairn.GitRead, cairn.OrgRead)
	}
	if includes(list, cairn.WriteAccess) {
		scopes = append(scopes, cairn.GitWrite, cairn.RepoWrite)
	}
	if includes(list, cairn.AdminAccess) {
		scopes = append(scopes, cairn.OrgAdmin)
	}
	return scopes
}

// accesses are the accesses from the least to the greatest.
var accesses = []cairn.Access{cairn.ReadAccess, cairn.WriteAccess, cairn.AdminAccess}

// includes tells whether an access or a greater one is in the list.
func includes(list []cairn.Access, wanted cairn.Access) bool {
	for _, a := range accesses[slices.Index(accesses, wanted):] {
		if slices.Contains(list, a) {
			return true
		}
	}
	return false
}

// parseAccesses checks a list of accesses from outside.
func parseAccesses(list []cairn.Access) ([]cairn.Access, error) {
	var sorted []cairn.Access
	for _, a := range accesses {
		if slices.Contains(list, a) {
			sorted = append(sorted, a)
		}
	}
	for _, a := range list {
		if !slices.Contains(accesses, a) {
			return nil, cairn.Errorf(cairn.Invalid, "there is no scope %q: use read, write or admin", cairn.Clip(string(a)))
		}
	}
	if len(sorted) == 0 {
		return nil, cairn.Errorf(cairn.Invalid, "scopes is empty: name read, write or admin")
	}
	return sorted, nil
}

// APIKeyWithText is a key with its text, which is shown by what makes it and
// never again.
type APIKeyWithText struct {
	cairn.APIKey
	Text string
}

// NewAPIKey says what key to make.
type NewAPIKey struct {
	Name   string
	Access []cairn.Access // nil means read and write
	// Repositories are the only ones that it is for; nil means all.
	Repositories []cairn.RepositoryID
	Life         time.Duration // zero means for ever
	Labels       cairn.Labels
}

// mayManage answers Denied unless the actor may manage API keys and webhooks of
// the organization that are for these repositories; nil means all of them. Who
// is bound to some repositories manages only what is for no others.
func mayManage(who cairn.Actor, scope cairn.Scope, repositories []cairn.RepositoryID) error {
	all := who
	if all.Reach != nil {
		all.Reach = new(cairn.Reach)
	}
	if err := authorize(all, "", scope); err != nil {
		return err
	}
	if who.Admin || who.Reach.All() || manages(who, repositories) {
		return nil
	}
	return cairn.Errorf(cairn.Denied, "the credential is for some repositories only")
}

// manages tells whether all of some repositories are within the actor's reach.
func manages(who cairn.Actor, repositories []cairn.RepositoryID) bool {
	if who.Admin || who.Reach.All() {
		return true
	}
	if who.Reach == nil || who.Reach.Names != nil || repositories == nil {
		return false
	}
	return !slices.ContainsFunc(repositories, func(id cairn.RepositoryID) bool { return !slices.Contains(who.Reach.IDs, id) })
}

// CreateAPIKey makes a key. Nobody gives more than they have.
func (s *Service) CreateAPIKey(ctx context.Context, who cairn.Actor, in NewAPIKey) (APIKeyWithText, error) {
	if err := mayManage(who, cairn.KeyCreate, in.Repositories); err != nil {
		return APIKeyWithText{}, err
	}
	key, err := s.newAPIKey(who, in)
	if err != nil {
		return APIKeyWithText{}, err
	}
	text := newAPIKeyText(apiKeyRef{key.Organization, key.ID})
	key.Sealed = s.secrets.Seal(signingKey(text), apiKeyPlace(key))
	err = s.metadata.Update(ctx, func(tx cairn.Tx) error {
		if err := checkRepositories(tx, who, key.Repositories); err != nil {
			return err
		}
		if err := checkRoomForAPIKey(tx, key.Organization, key.CreatedAt); err != nil {
			return err
		}
		return tx.APIKeys().Create(key)
	})
	if err != nil {
		return APIKeyWithText{}, err
	}
	s.keys.forgetAPIKey(apiKeyRef{key.Organization, key.ID})
	return APIKeyWithText{key, text}, nil
}

// newAPIKey checks what is asked for.
func (s *Service) newAPIKey(who cairn.Actor, in NewAPIKey) (key cairn.APIKey, err error) {
	key = cairn.APIKey{
		Organization: who.Organization.ID, ID: cairn.APIKeyID(cairn.NewID()), Name: in.Name, Repositories: in.Repositories, CreatedAt: s.now().UTC(),
	}
	switch {
	case len(in.Name) > maxAPIKeyName, !isPlainText(in.Name):
		return key, cairn.Errorf(cairn.Invalid, "name is at most %d bytes without control characters", maxAPIKeyName)
	case in.Life != 0 && (in.Life < minAPIKeyLife || in.Life > maxAPIKeyLife):
		return key, cairn.Errorf(cairn.Invalid, "a key expires after %d to %d seconds", minAPIKeyLife/time.Second, maxAPIKeyLife/time.Second)
	case len(in.Repositories) > maxAPIKeyRepositories:
		return key, cairn.Errorf(cairn.Invalid, "a key is for at most %d repositories, or for all", maxAPIKeyRepositories)
	case in.Life != 0:
		key.ExpiresAt = key.CreatedAt.Add(in.Life)
	}
	if in.Access == nil {
		in.Access = []cairn.Access{cairn.ReadAccess, cairn.WriteAccess}
	}
	if key.Access, err = parseAccesses(in.Access); err != nil {
		return key, err
	}
	key.Labels, err = changedLabels(nil, setAll(in.Labels), foldLabelNames)
	return key, err
}

// isPlainText tells whether text is UTF-8 without control characters.
func isPlainText(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, unicode.IsControl)
}

// checkRepositories makes sure that repositories are there.
func checkRepositories(tx cairn.Tx, who cairn.Actor, ids []cairn.RepositoryID) error {
	for _, id := range ids {
		found, err := tx.Repositories().Get(cairn.RepositoryKey{Organization: who.Organization.ID, Repository: id})
		if errors.Is(err, cairn.NotFound) || err == nil && !found.DeletedAt.IsZero() {
			return cairn.Errorf(cairn.NotFound, "repository %q not found", cairn.Clip(id.Public()))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// checkRoomForAPIKey bounds how many keys an organization has.
func checkRoomForAPIKey(tx cairn.Tx, org cairn.OrganizationID, now time.Time) error {
	good := 0
	for after := cairn.APIKeyID(""); ; {
		page, err := tx.APIKeys().List(org, after, apiKeysScanned)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, k := range page {
			if k.IsGood(now) {
				good++
			}
		}
		if good >= maxAPIKeys {
			return cairn.Errorf(cairn.Conflict, "there are %d API keys, the most there may be; revoke one first", good)
		}
		after = page[len(page)-1].ID
	}
}

// APIKeyQuery says which API keys to list.
type APIKeyQuery struct {
	Text       string             // that the name contains, whatever the case; empty for all
	Access     cairn.Access       // that the key gives; empty for all
	Repository cairn.RepositoryID // that the key is for; empty for all
	Status     APIKeyStatus
	Cursor     string
	Limit      int
}

// APIKeyStatus says whether keys are good; empty for all.
type APIKeyStatus string

// The statuses of API keys.
const (
	ActiveAPIKeys  APIKeyStatus = "active"
	RevokedAPIKeys APIKeyStatus = "revoked"
	ExpiredAPIKeys APIKeyStatus = "expired"
)

func (q APIKeyQuery) matches(k cairn.APIKey, now time.Time) bool {
	switch q.Status {
	case ActiveAPIKeys:
		if !k.IsGood(now) {
			return false
		}
	case RevokedAPIKeys:
		if k.RevokedAt.IsZero() {
			return false
		}
	case ExpiredAPIKeys:
		if k.IsGood(now) || !k.RevokedAt.IsZero() {
			return false
		}
	}
	return (q.Text == "" || strings.Contains(strings.ToLower(k.Name), strings.ToLower(q.Text))) &&
		(q.Access == "" || slices.Contains(k.Access, q.Access)) &&
		(q.Repository == "" || k.Repositories == nil || slices.Contains(k.Repositories, q.Repository))
}

// APIKeyPage is a part of the list of API keys.
type APIKeyPage struct {
	Keys []cairn.APIKey
	Next string // the cursor of the next page; empty at the end
}

// ListAPIKeys returns the API keys that the actor manages, the oldest first. A
// page may have fewer than were asked for, and others follow it.
func (s *Service) ListAPIKeys(ctx context.Context, who cairn.Actor, q APIKeyQuery) (APIKeyPage, error) {
	if err := mayManage(who, cairn.OrgAdmin, []cairn.RepositoryID{}); err != nil {
		return APIKeyPage{}, err
	}
	if q.Access != "" && !slices.Contains(accesses, q.Access) {
		return APIKeyPage{}, cairn.Errorf(cairn.Invalid, "there is no scope %q: use read, write or admin", cairn.Clip(string(q.Access)))
	}
	listing := query{"API keys", string(who.Organization.ID), q.Text, string(q.Access), string(q.Repository), string(q.Status)}
	position, err := listing.position(q.Cursor, 1)
	if err != nil {
		return APIKeyPage{}, err
	}
	var start cairn.APIKeyID
	if position != nil {
		start = cairn.APIKeyID(position[0])
	}
	limit, now := clampLimit(q.Limit, apiKeysPerPage, maxAPIKeysPerPage), s.now()
	var page APIKeyPage
	err = s.metadata.View(ctx, func(tx cairn.Tx) error {
		page = APIKeyPage{}
		list, err := tx.APIKeys().List(who.Organization.ID, start, apiKeysScanned)
		for i, k := range list {
			if !manages(who, k.Repositories) || !q.matches(k, now) {
				continue
			}
			if len(page.Keys) == limit {
				page.Next = listing.cursor(string(list[i-1].ID))
				return nil
			}
			page.Keys = append(page.Keys, s.withUse(k))
		}
		if len(list) == apiKeysScanned {
			page.Next = listing.cursor(string(list[len(list)-1].ID))
		}
		return err
	})
	return page, err
}

// APIKey returns the key that the actor's credential is, or was made from;
// NotFound if it has to do with none.
func (s *Service) APIKey(ctx context.Context, who cairn.Actor) (key cairn.APIKey, err error) {
	err = s.metadata.View(ctx, func(tx cairn.Tx) error {
		key, err = tx.APIKeys().Get(who.Organization.ID, who.APIKey)
		return err
	})
	return key, err
}

// UpdateAPIKey changes labels of a key: a nil value takes one away.
func (s *Service) UpdateAPIKey(ctx context.Context, who cairn.Actor, public string, change map[string]*string) (cairn.APIKey, error) {
	var key cairn.APIKey
	err := s.changeAPIKey(ctx, who, public, func(tx cairn.Tx, k cairn.APIKey) (err error) {
		if k.Labels, err = changedLabels(k.Labels, change, foldLabelNames); err != nil {
			return err
		}
		key = k
		return tx.APIKeys().SetLabels(k.Organization, k.ID, k.Labels)
	})
	return key, err
}

// RevokeAPIKey ends a key, and with it all tokens that were made from it: from
// the moment that this returns, with other processes within seconds.
func (s *Service) RevokeAPIKey(ctx context.Context, who cairn.Actor, public string) error {
	return s.changeAPIKey(ctx, who, public, func(tx cairn.Tx, k cairn.APIKey) error {
		return tx.APIKeys().Revoke(k.Organization, k.ID, s.now().UTC())
	})
}

// changeAPIKey runs f on a key that the actor manages.
func (s *Service) changeAPIKey(ctx context.Context, who cairn.Actor, public string, f func(cairn.Tx, cairn.APIKey) error) error {
	if err := mayManage(who, cairn.OrgAdmin, []cairn.RepositoryID{}); err != nil {
		return err
	}
	absent := cairn.Errorf(cairn.NotFound, "API key %q not found", cairn.Clip(public))
	ref, ok := parseAPIKeyRef(public)
	if !ok || ref.organization != who.Organization.ID {
		return absent
	}
	defer s.keys.forgetAPIKey(ref) // also after an error: the update may have happened
	return s.metadata.Update(ctx, func(tx cairn.Tx) error {
		k, err := tx.APIKeys().Get(ref.organization, ref.id)
		if errors.Is(err, cairn.NotFound) || err == nil && !manages(who, k.Repositories) {
			return absent
		}
		if err != nil {
			return err
		}
		return f(tx, k)
	})
}

// knownAPIKey is an API key with what verifies it and the tokens made from it.
// One that is not there is remembered too, without an id.
type knownAPIKey struct {
	cairn.APIKey
	organization cairn.Organization
	signing      []byte
}

// apiKey returns a key as it is now, or was within keysFreshFor if another
// process has changed it. One that is not there has no id and no error.
func (s *Service) apiKey(ctx context.Context, ref apiKeyRef) (knownAPIKey, error) {
	found, err := cached(ctx, s, &s.keys.apiKeys, ref, func(tx cairn.Tx) (knownAPIKey, error) {
		key, err := tx.APIKeys().Get(ref.organization, ref.id)
		if errors.Is(err, cairn.NotFound) {
			return knownAPIKey{}, nil
		} else if err != nil {
			return knownAPIKey{}, err
		}
		read := knownAPIKey{APIKey: key}
		if read.organization, err = tx.Organizations().Get(ref.organization); err != nil {
			return knownAPIKey{}, err
		}
		if read.signing, err = s.secrets.Open(key.Sealed, apiKeyPlace(key)); err != nil {
			return knownAPIKey{}, fmt.Errorf("API key %s: %w", key.ID, err)
		}
		return read, nil
	})
	if err != nil {
		return knownAPIKey{}, fmt.Errorf("read an API key: %w", err)
	}
	return found, nil
}

// errNotAKey is the one answer for a key that is not there, is another one, was
// revoked or expired, or is not what signed a token.
var errNotAKey = cairn.Errorf(cairn.Unauthenticated, "the API key is not known, was revoked or expired")

// authenticateAPIKey returns the actor of the text of a key.
func (s *Service) authenticateAPIKey(ctx context.Context, text string) (cairn.Actor, error) {
	ref, ok := parseAPIKeyText(text)
	if !ok {
		return cairn.Actor{}, errNotAKey
	}
	known, err := s.apiKey(ctx, ref)
	if err != nil {
		return cairn.Actor{}, err
	}
	if subtle.ConstantTimeCompare(known.signing, signingKey(text)) != 1 || !known.IsGood(s.now()) {
		return cairn.Actor{}, errNotAKey
	}
	s.used.note(ref, s.now())
	who := known.actor()
	if slices.Contains(who.Scopes, cairn.OrgAdmin) {
		who.Scopes = append(who.Scopes, cairn.KeyCreate)
	}
	return who, nil
}

// actor is who acts with all that the key gives, but for making keys.
func (k knownAPIKey) actor() cairn.Actor {
	who := cairn.Actor{
		Organization: k.organization, Scopes: scopesOf(k.Access), APIKey: k.ID, Name: k.Name, Reach: &cairn.Reach{IDs: k.Repositories},
	}
	if who.Name == "" {
		who.Name = PublicAPIKeyID(k.Organization, k.ID)
	}
	return who
}

// keyUses are when API keys were used last, as far as that is not stored yet:
// a request does not write. The zero value is ready; safe for concurrent use.
type keyUses struct {
	mu   sync.Mutex
	last map[apiKeyRef]time.Time
}

func (u *keyUses) note(ref apiKeyRef, at time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.last == nil {
		u.last = make(map[apiKeyRef]time.Time)
	}
	u.last[ref] = at
}

func (u *keyUses) of(ref apiKeyRef) time.Time {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.last[ref]
}

// take returns all, and forgets them.
func (u *keyUses) take() map[apiKeyRef]time.Time {
	u.mu.Lock()
	defer u.mu.Unlock()
	taken := u.last
	u.last = nil
	return taken
}

// withUse adds to a key what is not stored yet of its use.
func (s *Service) withUse(k cairn.APIKey) cairn.APIKey {
	if at := s.used.of(apiKeyRef{k.Organization, k.ID}); at.After(k.UsedAt) {
		k.UsedAt = at.UTC()
	}
	return k
}

// usesAtATime is how many uses of keys one transaction stores.
const usesAtATime = 500

// NoteAPIKeyUses stores when API keys were used last. It is for the server's own
// background work, every minute or so; what a crash loses of it is no harm.
func (s *Service) NoteAPIKeyUses(ctx context.Context) error {
	taken := s.used.take()
	for refs := range slices.Chunk(slices.Collect(maps.Keys(taken)), usesAtATime) {
		err := s.metadata.Update(ctx, func(tx cairn.Tx) error {
			for _, ref := range refs {
				if err := tx.APIKeys().Used(ref.organization, ref.id, taken[ref].UTC()); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
