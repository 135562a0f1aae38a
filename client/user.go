package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// User is a user of the server. They own the organization of the same name.
type User struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	FullName  string    `json:"full_name,omitempty"`
	Email     string    `json:"email,omitempty"`
	Admin     bool      `json:"admin"`
	Disabled  bool      `json:"disabled"`
	CreatedAt time.Time `json:"created_at"`
}

// NewUser says what user to make.
type NewUser struct {
	Name     string `json:"name"`
	FullName string `json:"full_name,omitempty"`
	Email    string `json:"email,omitempty"`
	Password string `json:"password,omitempty"` // empty lets in by tokens only
	Admin    bool   `json:"admin,omitempty"`
}

// UserToken is a token of a user.
type UserToken struct {
	Name      string    `json:"name"`
	Token     string    `json:"token,omitempty"` // only where it is made
	CreatedAt time.Time `json:"created_at"`
}

// CreateUser makes a user and the organization of the same name.
func (o *Operator) CreateUser(ctx context.Context, in NewUser) (User, error) {
	var made User
	err := o.call(ctx, http.MethodPost, "/users", in, &made)
	return made, err
}

// Users goes through all users by name. It ends after an error.
func (o *Operator) Users(ctx context.Context) iter.Seq2[User, error] {
	return pages(func(cursor string) ([]User, string, error) {
		var page struct {
			Users      []User `json:"users"`
			NextCursor string `json:"next_cursor"`
		}
		err := o.call(ctx, http.MethodGet, "/users?"+pageQuery(cursor).Encode(), nil, &page)
		return page.Users, page.NextCursor, err
	})
}

// DeleteUser removes a user whose organization has no repositories.
func (o *Operator) DeleteUser(ctx context.Context, name string) error {
	return o.call(ctx, http.MethodDelete, userPath(name), nil, nil)
}

// CreateUserToken makes a token of a user. The answer alone has its text.
func (o *Operator) CreateUserToken(ctx context.Context, user, name string) (UserToken, error) {
	var made UserToken
	err := o.call(ctx, http.MethodPost, userPath(user)+"/tokens", map[string]string{"name": name}, &made)
	return made, err
}

// UserTokens returns a user's tokens, the oldest first.
func (o *Operator) UserTokens(ctx context.Context, user string) ([]UserToken, error) {
	var list struct {
		Tokens []UserToken `json:"tokens"`
	}
	err := o.call(ctx, http.MethodGet, userPath(user)+"/tokens", nil, &list)
	return list.Tokens, err
}

// DeleteUserToken ends a token.
func (o *Operator) DeleteUserToken(ctx context.Context, user, name string) error {
	return o.call(ctx, http.MethodDelete, userPath(user)+"/tokens/"+url.PathEscape(name), nil, nil)
}

func userPath(name string) string { return "/users/" + url.PathEscape(name) }
