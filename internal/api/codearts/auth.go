package codearts

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/cairn-storage/cairn/internal/admission"
	"github.com/cairn-storage/cairn/internal/api"
	"github.com/cairn-storage/cairn/internal/api/codearts/sign"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/service"
)

// maxLargeBody bounds the body of a request that brings files.
const maxLargeBody = 64 << 20

// tokenHeader has a token instead of a signature.
const tokenHeader = "X-Auth-Token"

// authenticate returns who signed the request, or whose token it has. A
// signature counts before a token: clients that send both sign all the same.
func (f *Face) authenticate(r *http.Request, b *body) (cairn.Actor, error) {
	var who cairn.Actor
	var err error
	switch token := r.Header.Get(tokenHeader); {
	case sign.Is(r):
		who, err = f.signer(r, b)
	case token != "":
		who, err = f.service.AuthenticateAccessToken(r.Context(), token)
	case r.Header.Get("Authorization") != "":
		err = sign.ErrScheme
	default:
		err = errors.New("a signature or a token is required")
	}
	if err != nil && cairn.KindOf(err) == cairn.Internal {
		err = cairn.Errorf(cairn.Unauthenticated, "%w", err)
	}
	if err != nil {
		return who, err
	}
	api.NoteOrganization(r, who.Organization.Name)
	return who, admission.Claim(r.Context(), string(who.Organization.ID))
}

func (f *Face) signer(r *http.Request, b *body) (cairn.Actor, error) {
	signature, err := sign.Parse(r)
	if err != nil {
		return cairn.Actor{}, cairn.Errorf(cairn.Unauthenticated, "%w", err)
	}
	text, err := signature.Text(r, b.digest)
	if err != nil {
		return cairn.Actor{}, cairn.Errorf(cairn.Unauthenticated, "%w", err)
	}
	return f.service.AuthenticateSigned(r.Context(), service.Signed{
		Key: cairn.AccessKeyID(signature.Access), Text: text, Signature: signature.Signature, At: signature.Date,
	})
}

// body is what a request brought, whole, as its signature is over all of it.
type body struct {
	digest [sha256.Size]byte
	data   []byte
	file   *os.File // instead of data where there may be much
}

// readBody reads the body of a request: into memory where it is short by its
// route, else into a file.
func (f *Face) readBody(w http.ResponseWriter, r *http.Request, route *route) (*body, error) {
	b := new(body)
	limit := int64(api.MaxJSON)
	if route.large {
		limit = maxLargeBody
	}
	hash := sha256.New()
	in := io.TeeReader(http.MaxBytesReader(w, r.Body, limit), hash)
	var err error
	if route.large && f.scratch != nil && (r.ContentLength < 0 || r.ContentLength > api.MaxJSON) {
		err = b.spool(in, f.scratch)
	} else {
		b.data, err = io.ReadAll(in)
	}
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		err = cairn.Errorf(cairn.TooLarge, "the body is larger than %d bytes", tooLarge.Limit)
	} else if err != nil && cairn.KindOf(err) == cairn.Internal && r.Context().Err() == nil {
		err = cairn.Errorf(cairn.Invalid, "the body cannot be read: %w", err)
	}
	if err != nil {
		b.close()
		return nil, err
	}
	hash.Sum(b.digest[:0])
	return b, nil
}

func (b *body) spool(in io.Reader, scratch func() (*os.File, error)) (err error) {
	if b.file, err = scratch(); err != nil {
		return fmt.Errorf("spool a body: %w", err)
	}
	if _, err = io.Copy(b.file, in); err == nil {
		_, err = b.file.Seek(0, io.SeekStart)
	}
	return err
}

func (b *body) reader() io.Reader {
	if b.file != nil {
		return b.file
	}
	return bytes.NewReader(b.data)
}

func (b *body) close() {
	if b.file != nil {
		b.file.Close()
	}
}

var identityRoutes = []route{
	{method: "POST", pattern: "/v3/auth/tokens", handle: (*Face).createToken, open: true},
	{method: "GET", pattern: "/v3/projects", handle: (*Face).listIAMProjects},
	{method: "POST", pattern: "/v2/user/{user}/validate-https-info", handle: (*Face).validatePassword},
	{method: "POST", pattern: "/v1/user/{user}/validateHttpsInfo", handle: (*Face).validatePassword},
}

// tokenRequest is the body of OpenStack's identity API, of which two methods are
// known: an access key's two halves by their own name, or as those of a user.
type tokenRequest struct {
	Auth struct {
		Identity struct {
			Methods []string `json:"methods"`
			Key     struct {
				Access struct {
					Key string `json:"key"`
				} `json:"access"`
				Secret struct {
					Key string `json:"key"`
				} `json:"secret"`
			} `json:"hw_ak_sk"`
			Password struct {
				User struct {
					Name     string `json:"name"`
					Password string `json:"password"`
					Domain   struct {
						Name string `json:"name"`
					} `json:"domain"`
				} `json:"user"`
			} `json:"password"`
		} `json:"identity"`
	} `json:"auth"`
}

// createToken gives a token for an access key and its secret, in the header
// X-Subject-Token.
func (f *Face) createToken(w http.ResponseWriter, r *request) error {
	in, err := decode[tokenRequest](r)
	if err != nil {
		return err
	}
	identity := in.Auth.Identity
	if len(identity.Methods) != 1 {
		return cairn.Errorf(cairn.Invalid, "auth.identity.methods names one method: hw_ak_sk or password")
	}
	var id, secret, domain string
	switch method := identity.Methods[0]; method {
	case "hw_ak_sk":
		id, secret = identity.Key.Access.Key, identity.Key.Secret.Key
	case "password":
		user := identity.Password.User
		id, secret, domain = user.Name, user.Password, user.Domain.Name
	default:
		return cairn.Errorf(cairn.Invalid, "auth.identity.methods: %q is not known; use hw_ak_sk or password", cairn.Clip(method))
	}
	token, who, err := f.service.NewAccessToken(r.Context(), cairn.AccessKeyID(id), secret)
	if err == nil && domain != "" && domain != string(who.Organization.Name) {
		err = cairn.Errorf(cairn.Unauthenticated, "the access key is not of that domain")
	}
	if err != nil {
		return err
	}
	api.NoteOrganization(r.Request, who.Organization.Name)
	type named struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	}
	org := named{organizationID(who.Organization), string(who.Organization.Name)}
	type user struct {
		named
		Domain named `json:"domain"`
	}
	w.Header().Set("X-Subject-Token", token.Text)
	return api.Write(w, http.StatusCreated, map[string]any{"token": map[string]any{
		"methods": identity.Methods, "issued_at": iamTime(token.IssuedAt), "expires_at": iamTime(token.Expires),
		"user": user{named{userID(id), id}, org}, "project": user{org, org}, "catalog": []any{}, "roles": []any{},
	}})
}

func iamTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000Z") }

// listIAMProjects answers the one question of clients that were given a region:
// under which project of the identity service it goes. That is always the
// organization.
func (f *Face) listIAMProjects(w http.ResponseWriter, r *request) error {
	org := r.who.Organization
	return api.Write(w, http.StatusOK, map[string]any{"projects": []any{map[string]any{
		"id": organizationID(org), "name": r.query.Get("name"), "domain_id": organizationID(org), "enabled": true, "is_domain": false, "description": string(org.Name),
	}}})
}

// validatePassword tells whether the password with which the caller uses Git
// over HTTPS is the right one. The user is the access key, which signs.
func (f *Face) validatePassword(w http.ResponseWriter, r *request) error {
	in, err := decode[struct {
		Password string `json:"pwd"`
	}](r)
	if err != nil {
		return err
	}
	id := string(r.who.AccessKey)
	switch {
	case r.path["user"] != userID(id):
		return withCode(codeNoUser, "the user does not exist, or is not the one that asks")
	case in.Password == "":
		return withCode(codeParameter, "pwd is required")
	}
	if _, err := f.service.AuthenticateSecret(r.Context(), r.who.AccessKey, in.Password); errors.Is(err, cairn.Unauthenticated) {
		return withCode(codePassword, "the password is wrong")
	} else if err != nil {
		return err
	}
	return answer(w, "verificationPassed")
}
