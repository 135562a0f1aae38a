package gogs

import (
	"errors"
	"net/http"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/service"
)

// migration is the body of a migration.
type migration struct {
	CloneAddr   string `json:"clone_addr"`
	Username    string `json:"auth_username"`
	Password    string `json:"auth_password"`
	UID         int64  `json:"uid"`
	Name        string `json:"repo_name"`
	Mirror      bool   `json:"mirror"`
	Private     bool   `json:"private"`
	Description string `json:"description"`
}

const maxMigrationDescription = 512 // characters

func (in *migration) check() error {
	var c checks
	c.required("CloneAddr", in.CloneAddr)
	if in.UID == 0 {
		c.required("UID", "")
	}
	c.name("RepoName", in.Name, maxRepositoryName)
	c.longest("Description", in.Description, maxMigrationDescription)
	if err := c.err(); err != nil {
		return err
	}
	return checkReserved(in.Name)
}

// migrate makes a repository of what one on another server has, and answers
// when it is there. A mirror goes on following the other.
func (f *Face) migrate(w http.ResponseWriter, in *request) error {
	body, err := bind[migration](w, in)
	if err != nil {
		return err
	}
	if err := body.check(); err != nil {
		return err
	}
	name := cairn.RepositoryName(body.Name)
	owner, who, err := f.ownerNumbered(in, body.UID, name)
	if err != nil {
		return err
	}
	upstream, err := service.ParseCloneAddress(body.CloneAddr)
	if err != nil {
		return err
	}
	upstream.Name, upstream.Description, upstream.Public, upstream.Once = name, body.Description, !body.Private, !body.Mirror
	upstream.FoldName, upstream.Number = true, true
	upstream.Access = service.PublicAccess
	switch {
	case body.Password != "":
		upstream.Access, upstream.Username, upstream.Password = service.CredentialAccess, body.Username, body.Password
	case body.Username != "":
		return cairn.Errorf(cairn.Invalid, "auth_username comes with auth_password")
	}
	made, err := f.service.CloneUpstream(in.Context(), who, upstream)
	if err != nil {
		return nameTaken(err, body.Name, owner)
	}
	return f.writeRepository(w, in, http.StatusCreated, made)
}

// ownerNumbered finds the owner of a repository that is to be, by number: the
// caller or an organization of theirs; to an administrator of the server,
// anybody.
func (f *Face) ownerNumbered(in *request, uid int64, repo cairn.RepositoryName) (string, cairn.Actor, error) {
	unknown := &problem{http.StatusUnprocessableEntity, "there is no user or organization of that uid"}
	if uid < 1 || uid > int64(cairn.MaxNumber) {
		return "", cairn.Actor{}, unknown
	}
	owner, err := f.service.AccountNumbered(in.Context(), cairn.Number(uid))
	if errors.Is(err, cairn.NotFound) {
		err = unknown
	}
	if err != nil {
		return "", cairn.Actor{}, err
	}
	who, err := f.service.OwnerIn(in.Context(), in.login, string(owner.Name), repo)
	if errors.Is(err, cairn.Denied) {
		err = &problem{http.StatusForbidden, "Given user is not owner of organization."}
		if owner.User {
			err = &problem{http.StatusForbidden, "Given user is not an organization."}
		}
	}
	return string(owner.Name), who, err
}

// syncMirror has a repository take over what its upstream has, soon. A
// repository that follows none has no such thing.
func (f *Face) syncMirror(w http.ResponseWriter, in *request) error {
	if !isMirror(in.repo) {
		return cairn.Errorf(cairn.NotFound, "the repository follows no upstream")
	}
	if err := f.service.PullUpstream(in.Context(), in.who, in.repo.Name, ""); err != nil {
		return err
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}

// isMirror tells a repository that follows another from one that only begins
// with what another has.
func isMirror(r cairn.Repository) bool { return r.Upstream.Follows() && !r.Upstream.Once }
