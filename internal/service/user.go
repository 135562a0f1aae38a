package service

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/cairn-storage/cairn/internal/cairn"
)

// Bounds of users, their tokens and listings of them.
const (
	usersPerPage    = 100
	maxUsersPerPage = 1000
	maxUserTokens   = 1000
	maxTokenName    = 255
	userTokenBytes  = 20 // shown as 40 hexadecimal digits
)

// NewUser says what user to make.
type NewUser struct {
	Name     string // capitals are kept for display
	Email    string
	FullName string
	Password string // empty lets in by tokens only
	Admin    bool
}

// CreateUser makes a user and the organization of the same name, which is
// theirs. It needs the operator; Conflict if the name or the email address is
// taken.
func (s *Service) CreateUser(ctx context.Context, who cairn.Actor, in NewUser) (cairn.User, error) {
	if err := authorizeOperator(who); err != nil {
		return cairn.User{}, err
	}
	made, err := newUser(in)
	if err != nil {
		return cairn.User{}, err
	}
	if made.Password, err = s.passwords.digest(ctx, in.Password); err != nil {
		return cairn.User{}, err
	}
	made.CreatedAt = s.now().UTC()
	err = s.metadata.Update(ctx, func(tx cairn.Tx) error {
		org := cairn.Organization{ID: cairn.OrganizationID(made.ID), Name: made.Name, CreatedAt: made.CreatedAt}
		if err := tx.Organizations().Create(org); errors.Is(err, cairn.Conflict) {
			return cairn.Errorf(cairn.Conflict, "a user or organization %q already exists", made.Name)
		} else if err != nil {
			return err
		}
		if err := tx.Organizations().SetProfile(org.ID, made.Organization); err != nil {
			return err
		}
		if err := tx.Users().Create(made); err != nil {
			return err
		}
		made, err = tx.Users().Get(made.ID)
		return err
	})
	s.keys.forget(made.Name)
	if err != nil {
		return cairn.User{}, err
	}
	return made, nil
}

func newUser(in NewUser) (cairn.User, error) {
	name, err := cairn.ParseOrganizationName(string(cairn.FoldOrganizationName(in.Name)))
	if err != nil {
		return cairn.User{}, err
	}
	if in.Email != "" {
		if in.Email, err = cairn.ParseEmail(in.Email); err != nil {
			return cairn.User{}, err
		}
	}
	u := cairn.User{
		ID: cairn.UserID(cairn.NewID()), Name: name, Email: in.Email, Admin: in.Admin,
		Organization: cairn.Profile{Spelling: spelling(in.Name, name), FullName: in.FullName},
	}
	return u, u.Organization.Check()
}

// spelling is what is kept of how a name was written.
func spelling(written string, name cairn.OrganizationName) string {
	if written == string(name) {
		return ""
	}
	return written
}

// UserPage is a part of the list of users.
type UserPage struct {
	Users []cairn.User
	Next  string // the cursor of the next page; empty at the end
}

// ListUsers returns the users by name, for the operator.
func (s *Service) ListUsers(ctx context.Context, who cairn.Actor, cursor string, limit int) (UserPage, error) {
	if err := authorizeOperator(who); err != nil {
		return UserPage{}, err
	}
	listing := query{"users"}
	position, err := listing.position(cursor, 1)
	if err != nil {
		return UserPage{}, err
	}
	var after cairn.OrganizationName
	if position != nil {
		after = cairn.OrganizationName(position[0])
	}
	limit = clampLimit(limit, usersPerPage, maxUsersPerPage)
	var page UserPage
	err = s.metadata.View(ctx, func(tx cairn.Tx) error {
		page.Users, err = tx.Users().List("", after, limit+1)
		return err
	})
	if err != nil {
		return UserPage{}, fmt.Errorf("list users: %w", err)
	}
	if len(page.Users) > limit {
		page.Users = page.Users[:limit]
		page.Next = listing.cursor(string(page.Users[limit-1].Name))
	}
	return page, nil
}

// User returns a user by name, whatever the case.
func (s *Service) User(ctx context.Context, name string) (cairn.User, error) {
	var found cairn.User
	err := s.metadata.View(ctx, func(tx cairn.Tx) (err error) {
		found, err = findUser(tx, name)
		return err
	})
	return found, err
}

func findUser(tx cairn.Tx, name string) (cairn.User, error) {
	found, err := tx.Users().Find(cairn.FoldOrganizationName(name))
	if errors.Is(err, cairn.NotFound) {
		return cairn.User{}, cairn.Errorf(cairn.NotFound, "user %q not found", cairn.Clip(name))
	}
	return found, err
}

// UserEdit says what to change of a user; nil leaves it.
type UserEdit struct {
	Email, FullName, Website, Location *string
	Password                           *string
	Admin, Disabled                    *bool
}

// UpdateUser changes a user, for the operator.
func (s *Service) UpdateUser(ctx context.Context, who cairn.Actor, name string, in UserEdit) (cairn.User, error) {
	if err := authorizeOperator(who); err != nil {
		return cairn.User{}, err
	}
	if in.Email != nil && *in.Email != "" {
		if _, err := cairn.ParseEmail(*in.Email); err != nil {
			return cairn.User{}, err
		}
	}
	var digest *string
	if in.Password != nil {
		made, err := s.passwords.digest(ctx, *in.Password)
		if err != nil {
			return cairn.User{}, err
		}
		digest = &made
	}
	var found cairn.User
	defer s.keys.forget(cairn.FoldOrganizationName(name)) // also after an error: the update may have happened
	err := s.metadata.Update(ctx, func(tx cairn.Tx) (err error) {
		if found, err = findUser(tx, name); err != nil {
			return err
		}
		assign(&found.Email, in.Email)
		assign(&found.Password, digest)
		assign(&found.Admin, in.Admin)
		assign(&found.Disabled, in.Disabled)
		assign(&found.Organization.FullName, in.FullName)
		assign(&found.Organization.Website, in.Website)
		assign(&found.Organization.Location, in.Location)
		if err := found.Organization.Check(); err != nil {
			return err
		}
		if err := tx.Organizations().SetProfile(cairn.OrganizationID(found.ID), found.Organization); err != nil {
			return err
		}
		return tx.Users().Update(found)
	})
	return found, err
}

func assign[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

// DeleteUser removes a user with their tokens and the organization of their
// name, for the operator. It answers Conflict while that has repositories, or
// while they are the only owner of another one.
func (s *Service) DeleteUser(ctx context.Context, who cairn.Actor, name string) error {
	if err := authorizeOperator(who); err != nil {
		return err
	}
	defer s.keys.forget(cairn.FoldOrganizationName(name))
	return s.metadata.Update(ctx, func(tx cairn.Tx) error {
		u, err := findUser(tx, name)
		if err != nil {
			return err
		}
		if err := checkOtherOwners(tx, u); err != nil {
			return err
		}
		if err := tx.Organizations().Delete(cairn.OrganizationID(u.ID)); errors.Is(err, cairn.Conflict) {
			return cairn.Errorf(cairn.Conflict, "user %q still has repositories; delete them first", u.Name)
		} else if err != nil {
			return err
		}
		return tx.Users().Delete(u.ID)
	})
}

// checkOtherOwners answers Conflict if a user is the only owner of an
// organization.
func checkOtherOwners(tx cairn.Tx, u cairn.User) error {
	orgs, err := tx.Roles().Organizations(u.ID)
	if err != nil {
		return err
	}
	for _, org := range orgs {
		role, err := tx.Roles().In(u.ID, org.ID)
		if err != nil {
			return err
		}
		if role < cairn.OwnerRole {
			continue
		}
		others, err := owners(tx, org.ID)
		if err != nil {
			return err
		}
		if len(others) == 1 {
			return cairn.Errorf(cairn.Conflict, "user %q is the only owner of organization %q", u.Name, org.Name)
		}
	}
	return nil
}

// owners are the members of the teams that own an organization.
func owners(tx cairn.Tx, org cairn.OrganizationID) ([]cairn.User, error) {
	teams, err := tx.Roles().Teams(org)
	if err != nil {
		return nil, err
	}
	var all []cairn.User
	for _, team := range teams {
		if team.Role < cairn.OwnerRole {
			continue
		}
		members, err := tx.Roles().Members(org, team.ID)
		if err != nil {
			return nil, err
		}
		all = append(all, members...)
	}
	return all, nil
}

// CreateUserToken makes a token of a user and returns it: this is the only time
// that it can be seen. It needs the operator or that user; Conflict if the user
// has one of that name.
func (s *Service) CreateUserToken(ctx context.Context, who cairn.Actor, user, name string) (string, cairn.UserToken, error) {
	if name == "" {
		return "", cairn.UserToken{}, cairn.Errorf(cairn.Invalid, "the token needs a name")
	}
	if err := cairn.CheckText("token's name", name, maxTokenName); err != nil {
		return "", cairn.UserToken{}, err
	}
	secret := make([]byte, userTokenBytes)
	rand.Read(secret)
	text := hex.EncodeToString(secret)
	made := cairn.UserToken{Name: name, Digest: sha256.Sum256([]byte(text)), CreatedAt: s.now().UTC()}
	err := s.metadata.Update(ctx, func(tx cairn.Tx) error {
		u, err := findOwnUser(tx, who, user)
		if err != nil {
			return err
		}
		present, err := tx.Users().Tokens(u.ID)
		if err != nil {
			return err
		}
		if len(present) >= maxUserTokens {
			return cairn.Errorf(cairn.Conflict, "the user has %d tokens, the most that one may have", len(present))
		}
		made.User = u.ID
		return tx.Users().AddToken(made)
	})
	if err != nil {
		return "", cairn.UserToken{}, err
	}
	return text, made, nil
}

// findOwnUser finds a user for the operator or for themselves.
func findOwnUser(tx cairn.Tx, who cairn.Actor, name string) (cairn.User, error) {
	if !who.Admin && who.User == "" {
		return cairn.User{}, cairn.Errorf(cairn.Unauthenticated, "this needs a user")
	}
	found, err := findUser(tx, name)
	if err == nil && !who.Admin && found.ID != who.User {
		return cairn.User{}, cairn.Errorf(cairn.Denied, "this is for user %q alone", found.Name)
	}
	return found, err
}

// UserTokens returns a user's tokens, oldest first, for the operator or that
// user.
func (s *Service) UserTokens(ctx context.Context, who cairn.Actor, user string) (list []cairn.UserToken, err error) {
	err = s.metadata.View(ctx, func(tx cairn.Tx) error {
		u, err := findOwnUser(tx, who, user)
		if err != nil {
			return err
		}
		list, err = tx.Users().Tokens(u.ID)
		return err
	})
	return list, err
}

// DeleteUserToken ends a token at once, for the operator or that user.
func (s *Service) DeleteUserToken(ctx context.Context, who cairn.Actor, user, name string) error {
	defer s.keys.forget(cairn.FoldOrganizationName(user))
	return s.metadata.Update(ctx, func(tx cairn.Tx) error {
		u, err := findOwnUser(tx, who, user)
		if err != nil {
			return err
		}
		return tx.Users().DeleteToken(u.ID, name)
	})
}

// errNoLogin is the one answer for a user who does not exist and for a wrong
// password or token.
var errNoLogin = cairn.Errorf(cairn.Unauthenticated, "the user name, password or token is not right")

// Login is a user who proved to be who they say; the zero value is nobody.
type Login struct {
	User cairn.User
	// ByToken tells that it was with a token. A server's administrator has power
	// over what is others' only so.
	ByToken bool
}

// Nobody tells that there was no credential.
func (l Login) Nobody() bool { return l.User.ID == "" }

// Actor is the user in their own organization.
func (l Login) Actor() cairn.Actor {
	if l.Nobody() {
		return cairn.Actor{Name: "anonymous"}
	}
	return l.actor(cairn.Organization{ID: cairn.OrganizationID(l.User.ID), Name: l.User.Name, CreatedAt: l.User.CreatedAt})
}

func (l Login) actor(org cairn.Organization) cairn.Actor {
	return cairn.Actor{Organization: org, User: l.User.ID, Name: string(l.User.Name)}
}

// Operator is the actor of an administrator of the server; Denied for others.
func (l Login) Operator() (cairn.Actor, error) {
	if !l.User.Admin {
		return cairn.Actor{}, cairn.Errorf(cairn.Denied, "this needs an administrator of the server")
	}
	return cairn.Actor{Admin: true, User: l.User.ID, Name: string(l.User.Name)}, nil
}

// LoginPassword lets a user in by name, or email address, and password. The
// error is Unauthenticated, or RateLimited if many passwords are being
// verified.
func (s *Service) LoginPassword(ctx context.Context, name, password string) (Login, error) {
	var found cairn.User
	err := s.metadata.View(ctx, func(tx cairn.Tx) (err error) {
		if strings.Contains(name, "@") {
			found, err = tx.Users().FindEmail(name)
		} else {
			found, err = tx.Users().Find(cairn.FoldOrganizationName(name))
		}
		return err
	})
	if err != nil && !errors.Is(err, cairn.NotFound) {
		return Login{}, err
	}
	right, err := s.passwords.verify(ctx, found.Password, password)
	if err != nil {
		return Login{}, err
	}
	if !right || found.Disabled {
		return Login{}, errNoLogin
	}
	return Login{User: found}, nil
}

// LoginToken lets a user in by a token, as they are now or were within
// keysFreshFor if another process has changed them; Unauthenticated if it is
// none.
func (s *Service) LoginToken(ctx context.Context, token string) (Login, error) {
	if !isUserToken(token) {
		return Login{}, errNoLogin
	}
	digest := cairn.TokenDigest(sha256.Sum256([]byte(token)))
	return cached(ctx, s, &s.keys.logins, digest, func(tx cairn.Tx) (Login, error) {
		found, err := tx.Users().TokenUser(digest)
		if errors.Is(err, cairn.NotFound) || err == nil && found.Disabled {
			return Login{}, errNoLogin // which is not remembered
		}
		return Login{User: found, ByToken: true}, err
	})
}

// isUserToken tells whether a text has the form of a user's token.
func isUserToken(s string) bool {
	return len(s) == 2*userTokenBytes && strings.Trim(s, "0123456789abcdef") == ""
}

// LoginGit lets in with what a Git client sends: user name and password, or a
// token in place of either.
func (s *Service) LoginGit(ctx context.Context, name, password string) (Login, error) {
	for _, token := range []string{name, password} {
		if isUserToken(token) {
			if in, err := s.LoginToken(ctx, token); err == nil || !errors.Is(err, cairn.Unauthenticated) {
				return in, err
			}
		}
	}
	return s.LoginPassword(ctx, name, password)
}
