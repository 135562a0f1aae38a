package codearts

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/cairn-storage/cairn/internal/api"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/service"
)

var keyRoutes = []route{
	{method: "POST", pattern: "/v2/repositories/{repository}/deploy-keys", handle: (*Face).addDeployKey},
	{method: "DELETE", pattern: "/v2/repositories/{repository}/deploy-keys/{key}", handle: (*Face).deleteDeployKey},
	{method: "POST", pattern: "/v1/repositories/{repository}/deploy_keys", handle: (*Face).addDeployKey},
	{method: "DELETE", pattern: "/v1/repositories/{repository}/deploy_keys/{key}", handle: (*Face).deleteDeployKey},
	{method: "POST", pattern: "/v1/users/sshkey", handle: (*Face).addUserKey},
	{method: "GET", pattern: "/v1/users/sshkey", handle: (*Face).listUserKeys},
	{method: "DELETE", pattern: "/v1/users/sshkey/{key}", handle: (*Face).deleteUserKey},
	{method: "POST", pattern: "/v1/users/sshkey/privatekey/verify", handle: (*Face).verifyPrivateKey},
	{method: "POST", pattern: "/v4/user/keys", handle: (*Face).addUserKeyV4},
	{method: "GET", pattern: "/v4/user/keys", handle: (*Face).listUserKeysV4},
	{method: "DELETE", pattern: "/v4/user/keys/{key}", handle: (*Face).deleteUserKeyV4},
	{method: "GET", pattern: "/v4/repositories/{repository}/deploy-keys", handle: (*Face).listDeployKeysV4},
	{method: "DELETE", pattern: "/v4/repositories/{repository}/deploy-keys/{key}", handle: (*Face).deleteDeployKeyV4},
}

// maxKeyTitle and maxKey are the longest title and key of a user, in characters.
const (
	maxKeyTitle = 255
	maxKey      = 2048
)

// userKeys are the SSH keys of the caller: an access key has its own.
func (f *Face) userKeys(r *request) service.SSHKeyRing { return f.service.SSHKeysOf(r.who, "") }

// deployKeys are those of the repository that the path names.
func (f *Face) deployKeys(r *request) service.SSHKeyRing {
	return f.service.DeployKeys(r.who, r.repo.Name)
}

// addKey adds a key, with the codes that this API has for what is wrong with
// one.
func addKey(r *request, ring service.SSHKeyRing, in service.NewSSHKey) (service.SSHKey, error) {
	switch {
	case strings.TrimSpace(in.Title) == "":
		return service.SSHKey{}, withCode(codeParameter, "the title of the key is empty")
	case strings.TrimSpace(in.Text) == "":
		return service.SSHKey{}, withCode(codeParameter, "the key is empty")
	case utf8.RuneCountInString(in.Title) > maxKeyTitle:
		return service.SSHKey{}, withCode(codeParameter, "the title of the key has more than %d characters", maxKeyTitle)
	}
	made, err := ring.Add(r.Context(), in)
	switch {
	case errors.Is(err, cairn.Invalid):
		err = withCode(codeKey, "%w", err)
	case errors.Is(err, cairn.Conflict):
		err = withCode(codeParameter, "%w", err)
	}
	return made, err
}

// deleteKey deletes the key that the path names.
func deleteKey(r *request, ring service.SSHKeyRing) error {
	n, ok := parseNumber(r.path["key"])
	if !ok {
		n = 0 // which none has
	}
	return ring.Delete(r.Context(), n)
}

func keyID(k service.SSHKey) string { return strconv.Itoa(int(k.Number)) }

// deployKeyBody is a key of a repository.
type deployKeyBody struct {
	ID        string `json:"key_id"`
	Key       string `json:"key"`
	Title     string `json:"key_title"`
	CanPush   bool   `json:"can_push"`
	CreatedAt string `json:"created_at"`
}

func (f *Face) addDeployKey(w http.ResponseWriter, r *request) error {
	in, err := decode[struct {
		Title   string `json:"key_title"`
		Key     string `json:"key"`
		CanPush bool   `json:"can_push"`
	}](r)
	if err != nil {
		return err
	}
	made, err := addKey(r, f.deployKeys(r), service.NewSSHKey{Title: in.Title, Text: in.Key, CanPush: in.CanPush})
	if err != nil {
		return err
	}
	return answer(w, deployKeyBody{ID: keyID(made), Key: made.Text, Title: made.Title, CanPush: made.CanPush, CreatedAt: clockTime(made.CreatedAt)})
}

func (f *Face) deleteDeployKey(w http.ResponseWriter, r *request) error {
	if err := deleteKey(r, f.deployKeys(r)); err != nil {
		return err
	}
	return answer(w, true)
}

// userKeyBody is a key of the caller.
type userKeyBody struct {
	ID    string `json:"id"`
	Key   string `json:"key"`
	Title string `json:"title"`
}

func showUserKey(k service.SSHKey) userKeyBody { return userKeyBody{keyID(k), k.Text, k.Title} }

// newUserKey reads the body of a creation.
func (f *Face) newUserKey(r *request) (service.SSHKey, error) {
	in, err := decode[struct {
		Key   string `json:"key"`
		Title string `json:"title"`
	}](r)
	if err != nil {
		return service.SSHKey{}, err
	}
	if utf8.RuneCountInString(in.Key) > maxKey {
		return service.SSHKey{}, withCode(codeKey, "the key has more than %d characters", maxKey)
	}
	return addKey(r, f.userKeys(r), service.NewSSHKey{Title: in.Title, Text: in.Key})
}

func (f *Face) addUserKey(w http.ResponseWriter, r *request) error {
	made, err := f.newUserKey(r)
	if err != nil {
		return err
	}
	return answer(w, showUserKey(made))
}

func (f *Face) listUserKeys(w http.ResponseWriter, r *request) error {
	keys, err := f.userKeys(r).List(r.Context())
	if err != nil {
		return err
	}
	shown := make([]userKeyBody, len(keys))
	for i, k := range keys {
		shown[i] = showUserKey(k)
	}
	return answer(w, map[string]any{"sshkey": shown, "total": len(shown)})
}

func (f *Face) deleteUserKey(w http.ResponseWriter, r *request) error {
	if err := deleteKey(r, f.userKeys(r)); err != nil {
		return err
	}
	return answer(w, "success")
}

// verifyPrivateKey tells whether a private key may be used for a repository:
// whether it is the other half of one of its deploy keys, or of a key of
// somebody who may read it.
func (f *Face) verifyPrivateKey(w http.ResponseWriter, r *request) error {
	in, err := decode[struct {
		Repository string `json:"repository_uuid"`
		Key        string `json:"private_key"`
	}](r)
	if err != nil {
		return err
	}
	who, repo, err := f.repository(r, in.Repository)
	if err != nil {
		return err
	}
	err = f.service.VerifySSHPrivateKey(r.Context(), who, repo.Name, in.Key)
	if errors.Is(err, cairn.Invalid) || errors.Is(err, cairn.NotFound) {
		err = withCode(codeKey, "%w", err)
	}
	if err != nil {
		return err
	}
	return answer(w, "success")
}

// keyBodyV4 is a key of the caller as /v4 shows it.
type keyBodyV4 struct {
	ID        int32  `json:"id"`
	Title     string `json:"title"`
	Key       string `json:"key"`
	CreatedAt string `json:"created_at"`
}

func showKeyV4(k service.SSHKey) keyBodyV4 {
	return keyBodyV4{int32(k.Number), k.Title, k.Text, sdkTime(k.CreatedAt)}
}

func (f *Face) addUserKeyV4(w http.ResponseWriter, r *request) error {
	made, err := f.newUserKey(r)
	if err != nil {
		return err
	}
	return api.Write(w, http.StatusCreated, showKeyV4(made))
}

func (f *Face) listUserKeysV4(w http.ResponseWriter, r *request) error {
	keys, err := f.userKeys(r).List(r.Context())
	if err != nil {
		return err
	}
	text := strings.ToLower(r.query.Get("query"))
	keys = slices.DeleteFunc(keys, func(k service.SSHKey) bool { return !strings.Contains(strings.ToLower(k.Title), text) })
	page, err := pageV4(r, keys)
	if err != nil {
		return err
	}
	shown := make([]keyBodyV4, len(page))
	for i, k := range page {
		shown[i] = showKeyV4(k)
	}
	return api.Write(w, http.StatusOK, map[string]any{"keys": shown, "total": len(keys)})
}

func (f *Face) deleteUserKeyV4(w http.ResponseWriter, r *request) error {
	if err := deleteKey(r, f.userKeys(r)); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// deployKeyBodyV4 is a key of a repository as /v4 lists it.
type deployKeyBodyV4 struct {
	ID          int32  `json:"id"`
	Title       string `json:"title"`
	Fingerprint string `json:"fingerprint"`
	CreatedAt   string `json:"created_at"`
}

func (f *Face) listDeployKeysV4(w http.ResponseWriter, r *request) error {
	keys, err := f.deployKeys(r).List(r.Context())
	if err != nil {
		return err
	}
	page, err := pageV4(r, keys)
	if err != nil {
		return err
	}
	shown := make([]deployKeyBodyV4, len(page))
	for i, k := range page {
		shown[i] = deployKeyBodyV4{int32(k.Number), k.Title, k.Fingerprint, sdkTime(k.CreatedAt)}
	}
	w.Header().Set("X-Total", strconv.Itoa(len(keys)))
	return api.Write(w, http.StatusOK, shown)
}

func (f *Face) deleteDeployKeyV4(w http.ResponseWriter, r *request) error {
	if err := deleteKey(r, f.deployKeys(r)); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// pageV4 is the part of a list that a request of /v4 asks for.
func pageV4[T any](r *request, all []T) ([]T, error) {
	offset, err := r.number("offset", 0, 0, 1<<30)
	if err != nil {
		return nil, err
	}
	limit, err := r.number("limit", 20, 1, 100)
	if err != nil {
		return nil, err
	}
	from := min(offset, len(all))
	return all[from:min(from+limit, len(all))], nil
}
