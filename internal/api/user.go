package api

import (
	"net/http"
	"strings"

	"github.com/cairn-storage/cairn/internal/admission"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/service"
)

// IsSigned tells whether a credential has the form of a token that an
// organization signs.
func IsSigned(token string) bool {
	return strings.HasPrefix(token, "ey") && strings.Count(token, ".") == 2
}

// GitActor returns who a Git client is whose address names the organization: a
// user, by password or token, or nobody in particular, who may read what is
// public. The error is Unauthenticated for a wrong credential, and for nobody
// where nothing public is, whether something is there or not.
func (a *Auth) GitActor(r *http.Request, org, repo string) (cairn.Actor, cairn.Repository, error) {
	name, password, ok := r.BasicAuth()
	var login service.Login
	if ok || r.Header.Get("Authorization") != "" {
		var err error
		if login, err = a.service.LoginGit(r.Context(), name, password); err != nil {
			return cairn.Actor{}, cairn.Repository{}, err
		}
	}
	who, found, err := a.service.ActorIn(r.Context(), login, org, repo)
	if login.Nobody() && cairn.KindOf(err) == cairn.NotFound {
		err = cairn.Errorf(cairn.Unauthenticated, "a token is required as the password, or a user's name and password")
	}
	if err != nil {
		return cairn.Actor{}, cairn.Repository{}, err
	}
	NoteOrganization(r, who.Organization.Name)
	return who, found, admission.Claim(r.Context(), string(who.Organization.ID))
}
