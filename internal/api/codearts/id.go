package codearts

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
)

// Ids of this API are 32 hexadecimal digits. Those of this server are 80 bits:
// so an id is shown as its bytes and the beginning of their digest, and read
// back without asking anything. It is no secret; a repository is found by it
// only in the organization of who asks.

var idEncoding = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

const (
	uuidLength = 32
	idBytes    = 10
)

// uuid shows an id.
func uuid(id string) string {
	raw, err := idEncoding.DecodeString(id)
	digest := sha256.Sum256([]byte(id))
	if err != nil || len(raw) != idBytes {
		return hex.EncodeToString(digest[:uuidLength/2]) // no id of this server
	}
	return hex.EncodeToString(raw) + hex.EncodeToString(digest[:uuidLength/2-idBytes])
}

// parseUUID reads what uuid shows.
func parseUUID(text string) (id string, ok bool) {
	if len(text) != uuidLength {
		return "", false
	}
	raw, err := hex.DecodeString(text)
	if err != nil {
		return "", false
	}
	id = idEncoding.EncodeToString(raw[:idBytes])
	return id, uuid(id) == text
}

func repositoryUUID(r cairn.Repository) string   { return uuid(string(r.Repository)) }
func organizationID(o cairn.Organization) string { return uuid(string(o.ID)) }
func userID(name string) string                  { return uuid(strings.ToLower(name)) }
func clockTime(t time.Time) string               { return t.UTC().Format(time.DateTime) }
func sdkTime(t time.Time) string                 { return t.UTC().Format("2006-01-02T15:04:05Z") }
func parseNumber(text string) (n cairn.Number, ok bool) {
	i, err := strconv.ParseInt(text, 10, 32)
	return cairn.Number(i), err == nil && i > 0
}

// repository finds what a path names by uuid or by number, and who asks as they
// may act on it. What is not there and what is not theirs is refused alike.
func (f *Face) repository(r *request, place string) (cairn.Actor, cairn.Repository, error) {
	var who cairn.Actor
	var repo cairn.Repository
	var err error
	if id, ok := parseUUID(place); ok {
		who, repo, err = f.service.RepositoryByID(r.Context(), r.who, cairn.RepositoryID(id))
	} else if n, ok := parseNumber(place); ok {
		who, repo, err = f.service.RepositoryByNumber(r.Context(), r.who, n)
	} else {
		err = errNoRepository
	}
	return who, repo, hidden(err)
}

// named finds a repository by its group and its name.
func (f *Face) named(r *request, group, name string) (cairn.Actor, cairn.Repository, error) {
	org, folder, _ := strings.Cut(group, "/")
	if org != string(r.who.Organization.Name) {
		return cairn.Actor{}, cairn.Repository{}, errNoRepository
	}
	full := strings.TrimPrefix(folder+"/"+name, "/")
	who, err := f.service.For(r.Context(), r.who, cairn.RepositoryName(full))
	if err != nil {
		return cairn.Actor{}, cairn.Repository{}, hidden(err)
	}
	repo, err := f.service.Repository(r.Context(), who, cairn.RepositoryName(full))
	return who, repo, hidden(err)
}

// hidden makes a repository that is not there as one that is not the caller's.
func hidden(err error) error {
	if errors.Is(err, cairn.NotFound) || errors.Is(err, cairn.Denied) {
		return errNoRepository
	}
	return err
}

// groupOf parts a repository's place into what addresses call its group, which
// begins with the organization, and its name.
func groupOf(org cairn.OrganizationName, name cairn.RepositoryName) (group, short string) {
	full := string(org) + "/" + string(name)
	at := strings.LastIndexByte(full, '/')
	return full[:at], full[at+1:]
}
