package gogs

import (
	"encoding/hex"
	"net/http"

	"github.com/cairn-storage/cairn/internal/api"
	"github.com/cairn-storage/cairn/internal/cairn"
)

var userRoutes = []route{
	{method: "GET", path: "users/search", handle: (*Face).searchUsers},
	{method: "GET", path: "users/{user}", handle: (*Face).user},
	{method: "GET", path: "user", gate: byToken, handle: (*Face).self},
	{method: "GET", path: "users/{user}/tokens", gate: byBasic, handle: (*Face).listTokens},
	{method: "POST", path: "users/{user}/tokens", gate: byBasic, handle: (*Face).createToken},
}

func (f *Face) searchUsers(w http.ResponseWriter, in *request) error {
	_, limit, _ := in.page(10, maxPage)
	found, err := f.service.SearchUsers(in.Context(), in.URL.Query().Get("q"), limit)
	if err != nil {
		return err
	}
	shown, err := f.showUsers(in, found)
	if err != nil {
		return err
	}
	return api.Write(w, http.StatusOK, struct {
		OK   bool   `json:"ok"`
		Data []user `json:"data"`
	}{true, shown})
}

func (f *Face) showUsers(in *request, users []cairn.User) ([]user, error) {
	infos, err := f.service.UserAccounts(in.Context(), users...)
	if err != nil {
		return nil, err
	}
	shown := make([]user, len(infos))
	for i, info := range infos {
		shown[i] = f.showUser(info, !in.login.Nobody())
	}
	return shown, nil
}

func (f *Face) user(w http.ResponseWriter, in *request) error {
	found, err := f.service.Account(in.Context(), in.PathValue("user"))
	if err != nil {
		return err
	}
	return api.Write(w, http.StatusOK, f.showUser(found, !in.login.Nobody()))
}

func (f *Face) self(w http.ResponseWriter, in *request) error {
	return f.writeUser(w, in, http.StatusOK, in.login.User)
}

func (f *Face) writeUser(w http.ResponseWriter, in *request, status int, u cairn.User) error {
	shown, err := f.showUsers(in, []cairn.User{u})
	if err != nil {
		return err
	}
	return api.Write(w, status, shown[0])
}

// accessToken is a token of a user. Where it is made SHA1 is the token; else it
// is the beginning of its digest, by which people tell tokens apart.
type accessToken struct {
	Name string `json:"name"`
	SHA1 string `json:"sha1"`
}

// listTokens and createToken are for who sends the password, whoever the path
// names.
func (f *Face) listTokens(w http.ResponseWriter, in *request) error {
	list, err := f.service.UserTokens(in.Context(), in.login.Actor(), string(in.login.User.Name))
	if err != nil {
		return err
	}
	shown := make([]accessToken, len(list))
	for i, k := range list {
		shown[i] = accessToken{k.Name, hex.EncodeToString(k.Digest[:])[:40]}
	}
	return api.Write(w, http.StatusOK, shown)
}

func (f *Face) createToken(w http.ResponseWriter, in *request) error {
	body, err := bind[struct {
		Name string `json:"name"`
	}](w, in)
	if err != nil {
		return err
	}
	var c checks
	c.required("Name", body.Name)
	if err := c.err(); err != nil {
		return err
	}
	text, made, err := f.service.CreateUserToken(in.Context(), in.login.Actor(), string(in.login.User.Name), body.Name)
	if cairn.KindOf(err) == cairn.Conflict {
		return &problem{http.StatusUnprocessableEntity, "access token already exists: map[name:" + cairn.Clip(body.Name) + "]"}
	} else if err != nil {
		return err
	}
	return api.Write(w, http.StatusCreated, accessToken{made.Name, text})
}
