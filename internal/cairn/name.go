package cairn

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// OrganizationID names an organization for ever; its name may be given away.
type OrganizationID string

// Public returns the id as callers see it.
func (id OrganizationID) Public() string { return "org_" + string(id) }

// RepositoryID names a repository for ever, also after its deletion.
type RepositoryID string

var idEncoding = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// NewID returns a new identifier: 16 characters, lower-case, and ordered by
// the time of its making so that rows made together lie together.
func NewID() string {
	var b [10]byte
	binary.BigEndian.PutUint64(b[:8], uint64(time.Now().UnixMilli())<<16)
	rand.Read(b[6:])
	return idEncoding.EncodeToString(b[:])
}

// OrganizationName is an organization's name in tokens and addresses, or a
// user's: lower-case letters, digits and inner "-", "_" and ".", at most 63.
type OrganizationName string

// FoldOrganizationName returns the name that stands for one with capitals.
func FoldOrganizationName(s string) OrganizationName {
	return OrganizationName(strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s))
}

// ParseOrganizationName checks a name from outside.
func ParseOrganizationName(s string) (OrganizationName, error) {
	const inner = "-_."
	ok := len(s) > 0 && len(s) <= 63 && !strings.ContainsRune(inner, rune(s[0])) && !strings.ContainsRune(inner, rune(s[len(s)-1]))
	for i := range len(s) {
		c := s[i]
		ok = ok && (c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || strings.IndexByte(inner, c) >= 0)
	}
	if !ok {
		return "", Errorf(Invalid, "organization name %q: use 1 to 63 lower-case letters, digits and inner \"-\", \"_\" and \".\"", Clip(s))
	}
	// What ends so means something in an address, or is a file at its root.
	if reservedOrganization[s] || strings.HasSuffix(s, ".git") || strings.HasSuffix(s, ".json") || strings.HasSuffix(s, ".txt") || strings.HasSuffix(s, ".ico") {
		return "", Errorf(Invalid, "organization name %q is reserved", s)
	}
	return OrganizationName(s), nil
}

// reservedOrganization holds the first path segments that belong to a face.
var reservedOrganization = map[string]bool{
	"admin": true, "api": true, "codearts": true, "codestorage": true, "gogs": true,
	"healthz": true, "mcp": true, "mesa": true, "metrics": true, "projects": true, "readyz": true,
	"repositories": true, "user": true, "users": true, "whoami": true, "v1": true, "v2": true, "v3": true, "v4": true,
}

// RepositoryName is a repository's public name inside its organization. It
// may hold slashes: team/app.
type RepositoryName string

// repositoryIDPrefix is what callers see before a RepositoryID.
const repositoryIDPrefix = "repo_"

// Public returns the id as callers see it.
func (id RepositoryID) Public() string { return repositoryIDPrefix + string(id) }

// ID reads a name as the public form of an id, where callers may give either.
func (n RepositoryName) ID() (RepositoryID, bool) {
	id, ok := strings.CutPrefix(string(n), repositoryIDPrefix)
	return RepositoryID(id), ok
}

// MaxRepositoryName is the longest repository name in bytes.
const MaxRepositoryName = 255

// ParseRepositoryName checks a name from outside: segments of letters, digits
// and "._-+@~" or any non-ASCII letter-like rune, parted by single slashes,
// no segment that starts with a dot or a dash, none that Git or a remote's
// address would take for something else (".git", "+ephemeral", "+import" at
// the end). Case counts.
func ParseRepositoryName(s string) (RepositoryName, error) {
	bad := func(why string) (RepositoryName, error) {
		return "", Errorf(Invalid, "repository name %q %s", Clip(s), why)
	}
	if s == "" {
		return "", Errorf(Invalid, "repository name is empty")
	}
	if len(s) > MaxRepositoryName {
		return bad(fmt.Sprintf("is longer than %d bytes", MaxRepositoryName))
	}
	if !utf8.ValidString(s) {
		return bad("is not UTF-8")
	}
	for _, r := range s {
		plain := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-+@~/", r)
		if !plain && (r < 0xa0 || isInvisible(r)) {
			return bad(fmt.Sprintf("holds %q", r))
		}
	}
	for segment := range strings.SplitSeq(s, "/") {
		switch {
		case segment == "":
			return bad("has an empty segment")
		case segment[0] == '.' || segment[0] == '-':
			return bad("has a segment that starts with a dot or a dash")
		case strings.HasSuffix(segment, ".") || strings.HasSuffix(strings.ToLower(segment), ".git"), strings.HasSuffix(segment, ".lock"):
			return bad("has a segment that ends with a dot, .git or .lock")
		}
	}
	if strings.HasSuffix(s, "+ephemeral") || strings.HasSuffix(s, "+import") {
		return bad("ends like one of the special remotes")
	}
	return RepositoryName(s), nil
}

// isInvisible tells whether r changes how a name looks without being seen:
// spaces, format and bidi controls, surrogates and private use.
func isInvisible(r rune) bool {
	switch {
	case r == 0xa0, r == 0xad, r == 0x1680, r >= 0x2000 && r <= 0x200f, r >= 0x2028 && r <= 0x202f,
		r >= 0x205f && r <= 0x206f, r == 0x3000, r == 0xfeff, r >= 0xe000 && r <= 0xf8ff,
		r >= 0xfff0 && r <= 0xffff, r >= 0xe0000:
		return true
	}
	return false
}

// Clip shortens text from outside for an error message.
func Clip(s string) string {
	if len(s) > 80 {
		return s[:77] + "..."
	}
	return s
}
