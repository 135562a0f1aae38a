package api

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/cairn-storage/cairn/internal/admission"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/service"
)

// Auth turns the credential of a request into an actor.
type Auth struct {
	service *service.Service
	admin   [sha256.Size]byte
	enabled bool // the admin token is not empty
}

// NewAuth returns an Auth that knows the organizations' keys and the token of
// the operator; an empty one lets nobody in.
func NewAuth(svc *service.Service, adminToken string) *Auth {
	return &Auth{service: svc, admin: sha256.Sum256([]byte(adminToken)), enabled: adminToken != ""}
}

// Token returns the token of a request: that of Bearer, or the password of
// Basic with any user name. It is empty if there is none.
func Token(r *http.Request) string {
	scheme, rest, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	rest = strings.TrimSpace(rest)
	switch {
	case strings.EqualFold(scheme, "Bearer"):
		return rest
	case strings.EqualFold(scheme, "Basic"):
		if len(rest) > 2*service.MaxTokenLength {
			return rest // too long to be looked into; verification says so
		}
		decoded, err := base64.StdEncoding.DecodeString(rest)
		if err != nil {
			return ""
		}
		_, password, _ := strings.Cut(string(decoded), ":")
		return password
	}
	return ""
}

// Actor returns who signed the request's token for an organization. Its error
// is Unauthenticated, or RateLimited if the organization has too many requests
// under way. The organization is noted for the log.
func (a *Auth) Actor(r *http.Request) (cairn.Actor, error) {
	who, err := a.service.Authenticate(r.Context(), Token(r))
	if err != nil {
		return who, err
	}
	NoteOrganization(r, who.Organization.Name)
	return who, admission.Claim(r.Context(), string(who.Organization.ID))
}

// KeyActor is Actor for an API key, and for the tokens that are made from one
// or from a private key.
func (a *Auth) KeyActor(r *http.Request) (cairn.Actor, error) {
	who, err := a.service.AuthenticateKey(r.Context(), Token(r))
	if err != nil {
		return who, err
	}
	NoteOrganization(r, who.Organization.Name)
	return who, admission.Claim(r.Context(), string(who.Organization.ID))
}

// AccessKeyActor is Actor for an access key, whose id and secret are user name
// and password.
func (a *Auth) AccessKeyActor(r *http.Request) (cairn.Actor, error) {
	id, secret, _ := r.BasicAuth()
	who, err := a.service.AuthenticateSecret(r.Context(), cairn.AccessKeyID(id), secret)
	if err != nil {
		return who, err
	}
	NoteOrganization(r, who.Organization.Name)
	return who, admission.Claim(r.Context(), string(who.Organization.ID))
}

// Operator returns the operator of the server, if the request has the admin
// token. The actor is of no organization yet: service.Operator makes it one.
func (a *Auth) Operator(r *http.Request) (cairn.Actor, error) {
	token := Token(r)
	if token == "" {
		return cairn.Actor{}, cairn.Errorf(cairn.Unauthenticated, "the admin token is required")
	}
	given := sha256.Sum256([]byte(token))
	if subtle.ConstantTimeCompare(given[:], a.admin[:]) != 1 || !a.enabled {
		return cairn.Actor{}, cairn.Errorf(cairn.Unauthenticated, "that is not the admin token of this server")
	}
	return cairn.Actor{Admin: true, Name: "admin"}, nil
}

// OperatorOf returns the operator as an actor of the organization of that
// name, if the request has the admin token.
func (a *Auth) OperatorOf(r *http.Request, org string) (cairn.Actor, error) {
	who, err := a.Operator(r)
	if err != nil {
		return cairn.Actor{}, err
	}
	who, err = a.service.Operator(r.Context(), who, cairn.OrganizationName(org))
	if err == nil {
		NoteOrganization(r, who.Organization.Name)
	}
	return who, err
}
