package admin

import (
	"net/http"
	"time"

	"github.com/cairn-storage/cairn/internal/api"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/service"
)

// user is a user as this face shows it.
type user struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	FullName  string    `json:"full_name,omitempty"`
	Email     string    `json:"email,omitempty"`
	Admin     bool      `json:"admin"`
	Disabled  bool      `json:"disabled"`
	CreatedAt time.Time `json:"created_at"`
}

func showUser(u cairn.User) user {
	return user{string(u.ID), string(u.Name), u.Organization.FullName, u.Email, u.Admin, u.Disabled, u.CreatedAt}
}

func (f *face) listUsers(w http.ResponseWriter, r *http.Request) error {
	who, err := f.auth.Operator(r)
	if err != nil {
		return err
	}
	limit, err := queryLimit(r)
	if err != nil {
		return err
	}
	page, err := f.service.ListUsers(r.Context(), who, r.URL.Query().Get("cursor"), limit)
	if err != nil {
		return err
	}
	out := struct {
		Users      []user `json:"users"`
		NextCursor string `json:"next_cursor,omitempty"`
	}{make([]user, len(page.Users)), page.Next}
	for i, u := range page.Users {
		out.Users[i] = showUser(u)
	}
	return api.Write(w, http.StatusOK, out)
}

func (f *face) createUser(w http.ResponseWriter, r *http.Request) error {
	who, err := f.auth.Operator(r)
	if err != nil {
		return err
	}
	in, err := api.Decode[struct {
		Name     string `json:"name"`
		FullName string `json:"full_name"`
		Email    string `json:"email"`
		Password string `json:"password"`
		Admin    bool   `json:"admin"`
	}](w, r)
	if err != nil {
		return err
	}
	made, err := f.service.CreateUser(r.Context(), who, service.NewUser{
		Name: in.Name, FullName: in.FullName, Email: in.Email, Password: in.Password, Admin: in.Admin,
	})
	if err != nil {
		return err
	}
	return api.Write(w, http.StatusCreated, showUser(made))
}

func (f *face) deleteUser(w http.ResponseWriter, r *http.Request) error {
	who, err := f.auth.Operator(r)
	if err != nil {
		return err
	}
	if err := f.service.DeleteUser(r.Context(), who, r.PathValue("user")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// userToken is a user's token as this face shows it.
type userToken struct {
	Name      string    `json:"name"`
	Token     string    `json:"token,omitempty"` // when it is made
	CreatedAt time.Time `json:"created_at"`
}

func (f *face) listUserTokens(w http.ResponseWriter, r *http.Request) error {
	who, err := f.auth.Operator(r)
	if err != nil {
		return err
	}
	list, err := f.service.UserTokens(r.Context(), who, r.PathValue("user"))
	if err != nil {
		return err
	}
	out := struct {
		Tokens []userToken `json:"tokens"`
	}{make([]userToken, len(list))}
	for i, k := range list {
		out.Tokens[i] = userToken{Name: k.Name, CreatedAt: k.CreatedAt}
	}
	return api.Write(w, http.StatusOK, out)
}

func (f *face) createUserToken(w http.ResponseWriter, r *http.Request) error {
	who, err := f.auth.Operator(r)
	if err != nil {
		return err
	}
	in, err := api.Decode[struct {
		Name string `json:"name"`
	}](w, r)
	if err != nil {
		return err
	}
	text, made, err := f.service.CreateUserToken(r.Context(), who, r.PathValue("user"), in.Name)
	if err != nil {
		return err
	}
	return api.Write(w, http.StatusCreated, userToken{Name: made.Name, Token: text, CreatedAt: made.CreatedAt})
}

func (f *face) deleteUserToken(w http.ResponseWriter, r *http.Request) error {
	who, err := f.auth.Operator(r)
	if err != nil {
		return err
	}
	if err := f.service.DeleteUserToken(r.Context(), who, r.PathValue("user"), r.PathValue("token")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
