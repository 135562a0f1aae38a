package gogs

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/cairn-storage/cairn/internal/api"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/service"
)

// keyRoutes are the SSH keys of users and repositories. Nobody sees another
// user's but an administrator.
var keyRoutes = []route{
	{method: "GET", path: "user/keys", gate: byToken, handle: (*Face).listMyKeys},
	{method: "POST", path: "user/keys", gate: byToken, handle: (*Face).addMyKey},
	{method: "GET", path: "user/keys/{key}", gate: byToken, handle: (*Face).myKey},
	{method: "DELETE", path: "user/keys/{key}", gate: byToken, handle: (*Face).deleteMyKey},
	{method: "GET", path: "users/{user}/keys", gate: byToken, handle: (*Face).listKeysOf},
	{method: "POST", path: "admin/users/{user}/keys", gate: adminOnly, handle: (*Face).addKeyFor},
	{method: "GET", path: repositoryPath + "/keys", gate: byToken, role: cairn.AdminRole, handle: (*Face).listDeployKeys},
	{method: "POST", path: repositoryPath + "/keys", gate: byToken, role: cairn.AdminRole, handle: (*Face).addDeployKey},
	{method: "GET", path: repositoryPath + "/keys/{key}", gate: byToken, role: cairn.AdminRole, handle: (*Face).deployKey},
	{method: "DELETE", path: repositoryPath + "/keys/{key}", gate: byToken, role: cairn.AdminRole, handle: (*Face).deleteDeployKey},
}

// publicKey is an SSH key of a user.
type publicKey struct {
	ID        int64     `json:"id"`
	Key       string    `json:"key"`
	URL       string    `json:"url"`
	Title     string    `json:"title"`
	CreatedAt time.Time `json:"created_at"`
}

// deployKey is one of a repository. Those that are made here may read only; other
// APIs make some that may push.
type deployKey struct {
	publicKey
	ReadOnly bool `json:"read_only"`
}

func showKey(place string, k service.SSHKey) publicKey {
	return publicKey{int64(k.Number), k.Text, place + strconv.Itoa(int(k.Number)), k.Title, second(k.CreatedAt)}
}

func (f *Face) showMyKey(k service.SSHKey) publicKey {
	return showKey(f.external+prefix+"user/keys/", k)
}

func (f *Face) myKeys(in *request) service.SSHKeyRing {
	return f.service.SSHKeysOf(in.login.Actor(), "")
}

// addKey adds the key of the body.
func addKey(w http.ResponseWriter, in *request, ring service.SSHKeyRing) (made service.SSHKey, err error) {
	body, err := bind[struct {
		Title string `json:"title"`
		Key   string `json:"key"`
	}](w, in)
	if err != nil {
		return made, err
	}
	var c checks
	c.required("Title", body.Title)
	c.required("Key", body.Key)
	if err := c.err(); err != nil {
		return made, err
	}
	made, err = ring.Add(in.Context(), service.NewSSHKey{Title: body.Title, Text: body.Key})
	refused := func(format string, args ...any) error {
		return &problem{http.StatusUnprocessableEntity, fmt.Sprintf(format, args...)}
	}
	switch {
	case errors.Is(err, cairn.ErrSSHKeyTitle):
		err = refused("Key title has been used")
	case errors.Is(err, cairn.ErrSSHKeyUsed):
		err = refused("Key content has been used as non-deploy key, or by this repository already")
	case errors.Is(err, cairn.Invalid):
		err = refused("Invalid key content: %v", err)
	}
	return made, err
}

// writeKeys answers with the keys of a user.
func (f *Face) writeKeys(w http.ResponseWriter, in *request, ring service.SSHKeyRing) error {
	keys, err := ring.List(in.Context())
	if err != nil {
		return err
	}
	shown := []publicKey{}
	for _, k := range cut(in, keys) {
		shown = append(shown, f.showMyKey(k))
	}
	return api.Write(w, http.StatusOK, shown)
}

func (f *Face) listMyKeys(w http.ResponseWriter, in *request) error {
	return f.writeKeys(w, in, f.myKeys(in))
}

// listKeysOf lists the keys of the user whom the path names: the caller, or
// anybody to an administrator.
func (f *Face) listKeysOf(w http.ResponseWriter, in *request) error {
	who := in.login.Actor()
	if operator, err := in.operator(); err == nil {
		who = operator
	}
	return f.writeKeys(w, in, f.service.SSHKeysOf(who, in.PathValue("user")))
}

func (f *Face) addMyKey(w http.ResponseWriter, in *request) error {
	made, err := addKey(w, in, f.myKeys(in))
	if err != nil {
		return err
	}
	return api.Write(w, http.StatusCreated, f.showMyKey(made))
}

func (f *Face) addKeyFor(w http.ResponseWriter, in *request) error {
	who, err := in.operator()
	if err != nil {
		return err
	}
	made, err := addKey(w, in, f.service.SSHKeysOf(who, in.PathValue("user")))
	if err != nil {
		return err
	}
	return api.Write(w, http.StatusCreated, f.showMyKey(made))
}

func (f *Face) myKey(w http.ResponseWriter, in *request) error {
	n, err := in.number("key")
	if err != nil {
		return err
	}
	found, err := f.myKeys(in).Get(in.Context(), n)
	if err != nil {
		return err
	}
	return api.Write(w, http.StatusOK, f.showMyKey(found))
}

func (f *Face) deleteMyKey(w http.ResponseWriter, in *request) error {
	n, err := in.number("key")
	if err != nil {
		return err
	}
	err = f.myKeys(in).Delete(in.Context(), n)
	if errors.Is(err, service.ErrSSHKeyOfAnother) {
		return &problem{http.StatusForbidden, "You do not have access to this key."}
	} else if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (f *Face) deployKeys(in *request) service.SSHKeyRing {
	return f.service.DeployKeys(in.who, in.repo.Name)
}

func (f *Face) showDeployKey(in *request, k service.SSHKey) deployKey {
	return deployKey{showKey(f.address(in)+"/keys/", k), !k.CanPush}
}

func (f *Face) listDeployKeys(w http.ResponseWriter, in *request) error {
	keys, err := f.deployKeys(in).List(in.Context())
	if err != nil {
		return err
	}
	shown := []deployKey{}
	for _, k := range cut(in, keys) {
		shown = append(shown, f.showDeployKey(in, k))
	}
	return api.Write(w, http.StatusOK, shown)
}

func (f *Face) addDeployKey(w http.ResponseWriter, in *request) error {
	made, err := addKey(w, in, f.deployKeys(in))
	if err != nil {
		return err
	}
	return api.Write(w, http.StatusCreated, f.showDeployKey(in, made))
}

func (f *Face) deployKey(w http.ResponseWriter, in *request) error {
	n, err := in.number("key")
	if err != nil {
		return err
	}
	found, err := f.deployKeys(in).Get(in.Context(), n)
	if err != nil {
		return err
	}
	return api.Write(w, http.StatusOK, f.showDeployKey(in, found))
}

func (f *Face) deleteDeployKey(w http.ResponseWriter, in *request) error {
	n, err := in.number("key")
	if err != nil {
		return err
	}
	if err := f.deployKeys(in).Delete(in.Context(), n); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
