package git

import (
	"fmt"
	"strings"
)

// RefName is the full name of a ref, such as refs/heads/main. A value made by
// ParseRefName obeys git-check-ref-format.
type RefName string

// HEAD is the symbolic ref that names a repository's default branch.
const HEAD RefName = "HEAD"

// The prefixes of the refs that have a meaning of their own.
const (
	BranchPrefix = "refs/heads/"
	TagPrefix    = "refs/tags/"
	NotesPrefix  = "refs/notes/"
)

// MaxRefNameLength is the longest ref name in bytes. Git has no limit of its
// own, but a ref is a file name for many clients.
const MaxRefNameLength = 1024

// ParseRefName checks a full ref name: it starts with refs/, has at least
// three components, and obeys git-check-ref-format(1).
func ParseRefName(s string) (RefName, error) {
	if !strings.HasPrefix(s, "refs/") || strings.Count(s, "/") < 2 {
		return "", fmt.Errorf("ref name %q does not start with refs/ and a kind", clip(s))
	}
	if err := checkRefFormat(s); err != nil {
		return "", err
	}
	return RefName(s), nil
}

// BranchRef returns the ref of a branch, after the rules that git branch
// adds to those of a ref: no leading dash, not HEAD.
func BranchRef(name string) (RefName, error) {
	return shortRef("branch", BranchPrefix, name)
}

// TagRef returns the ref of a tag; a tag's name has no leading dash.
func TagRef(name string) (RefName, error) {
	return shortRef("tag", TagPrefix, name)
}

func shortRef(kind, prefix, name string) (RefName, error) {
	if name == "" {
		return "", fmt.Errorf("%s name is empty", kind)
	}
	if name[0] == '-' || name == string(HEAD) {
		return "", fmt.Errorf("%q is not a valid %s name", clip(name), kind)
	}
	ref, err := ParseRefName(prefix + name)
	if err != nil {
		return "", fmt.Errorf("%q is not a valid %s name: %w", clip(name), kind, err)
	}
	return ref, nil
}

// IsBranch tells whether the ref is below refs/heads/.
func (n RefName) IsBranch() bool { return strings.HasPrefix(string(n), BranchPrefix) }

// IsTag tells whether the ref is below refs/tags/.
func (n RefName) IsTag() bool { return strings.HasPrefix(string(n), TagPrefix) }

// Short returns the name without refs/heads/ or refs/tags/, else whole.
func (n RefName) Short() string {
	for _, prefix := range []string{BranchPrefix, TagPrefix} {
		if s, ok := strings.CutPrefix(string(n), prefix); ok {
			return s
		}
	}
	return string(n)
}

// checkRefFormat holds the rules of git-check-ref-format(1), by number.
func checkRefFormat(s string) error {
	bad := func(why string) error { return fmt.Errorf("ref name %q %s", clip(s), why) }
	if len(s) > MaxRefNameLength {
		return bad(fmt.Sprintf("is longer than %d bytes", MaxRefNameLength))
	}
	for i := range len(s) {
		switch c := s[i]; {
		case c < ' ' || c == 0x7f: // rule 4
			return bad("holds a control character")
		case strings.IndexByte(" ~^:?*[\\", c) >= 0: // rules 4, 5, 10
			return bad(fmt.Sprintf("holds %q", c))
		}
	}
	switch {
	case strings.Contains(s, ".."): // rule 3
		return bad("holds \"..\"")
	case strings.Contains(s, "@{"): // rule 8
		return bad("holds \"@{\"")
	case s == "@": // rule 9
		return bad("is \"@\"")
	case strings.HasSuffix(s, "."): // rule 7
		return bad("ends with a dot")
	}
	for component := range strings.SplitSeq(s, "/") {
		switch {
		case component == "": // rule 6
			return bad("has an empty component")
		case component[0] == '.': // rule 1
			return bad("has a component that starts with a dot")
		case strings.HasSuffix(component, ".lock"): // rule 1
			return bad("has a component that ends with .lock")
		}
	}
	return nil
}
