package odb

import (
	"context"
	"strconv"
	"strings"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
)

// ResolveOptions say how a revision is read.
type ResolveOptions struct {
	// Ephemeral looks names up in the ephemeral namespace.
	Ephemeral bool
}

// maxSteps bounds the ancestors that one revision may climb.
const maxSteps = 100_000

// Resolve finds the commit that a revision names. The grammar is a small part
// of gitrevisions(7), all of it cheap and none of it able to look beyond the
// caller's refs: a name is HEAD, a full ref name, a branch, a tag, or an object
// id of 4 digits or more; suffixes are ~n, ^n, ^{commit} and ^{}. NotFound
// covers what does not exist and what the view does not reach; Invalid is what
// the grammar does not know.
func (sn *Snapshot) Resolve(ctx context.Context, view View, rev string, o ResolveOptions) (git.ObjectID, error) {
	name, suffix := splitRevision(rev)
	if name == "" || len(rev) > git.MaxRefNameLength || name[0] == '-' || strings.ContainsAny(name, " :?*[\\\x00\n") || strings.Contains(name, "@{") || strings.Contains(name, "..") {
		return git.ObjectID{}, cairn.Errorf(cairn.Invalid, "revision %q is not a branch, a tag or a commit id", cairn.Clip(rev))
	}
	id, err := sn.resolveName(ctx, view, name, o)
	if err == nil {
		id, err = sn.PeelToCommit(ctx, id)
	}
	if err == nil {
		id, err = sn.climb(ctx, id, suffix, rev)
	}
	if isNoObject(err) {
		return git.ObjectID{}, unknownRevision(rev)
	}
	return id, err
}

func unknownRevision(rev string) error {
	return cairn.Errorf(cairn.NotFound, "revision %q not found", cairn.Clip(rev))
}

// splitRevision parts a revision where its suffixes begin.
func splitRevision(rev string) (name, suffix string) {
	if i := strings.IndexAny(rev, "~^"); i >= 0 {
		return rev[:i], rev[i:]
	}
	return rev, ""
}

func (sn *Snapshot) resolveName(ctx context.Context, view View, name string, o ResolveOptions) (git.ObjectID, error) {
	stored := func(n git.RefName) git.RefName {
		if o.Ephemeral {
			return EphemeralRef(n)
		}
		return n
	}
	// A full id wins over a ref of the same name, as in git.
	if len(name) >= git.SHA1.HexSize() { // most names are short, and an error takes longer than all the rest
		if id, err := git.ParseObjectID(name); err == nil {
			return sn.visible(ctx, view, id, name)
		}
	}
	candidates := []git.RefName{git.BranchPrefix + git.RefName(name), git.TagPrefix + git.RefName(name), "refs/" + git.RefName(name)}
	switch {
	case name == string(git.HEAD) || name == "@":
		candidates = []git.RefName{sn.repo.DefaultBranch}
	case strings.HasPrefix(name, "refs/"):
		candidates = append([]git.RefName{git.RefName(name)}, candidates...)
	}
	for _, c := range candidates {
		if ref, ok := sn.Ref(stored(c)); ok && view.Shows(ref.Name) {
			return ref.Target, nil
		}
	}
	if isAbbreviation(name) {
		return sn.resolvePrefix(ctx, view, name)
	}
	return git.ObjectID{}, unknownRevision(name)
}

func (sn *Snapshot) visible(ctx context.Context, view View, id git.ObjectID, name string) (git.ObjectID, error) {
	ok, err := sn.Reachable(ctx, view, id)
	if err == nil && !ok {
		err = unknownRevision(name)
	}
	return id, err
}

func isAbbreviation(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return len(s) >= 4 && len(s) < git.SHA1.HexSize()
}

// resolvePrefix finds the only reachable commit or tag with that prefix.
// Objects out of the caller's reach make nothing ambiguous: they must not be
// noticed at all.
func (sn *Snapshot) resolvePrefix(ctx context.Context, view View, prefix string) (git.ObjectID, error) {
	ids, err := sn.Prefix(ctx, prefix, 256)
	if err != nil {
		return git.ObjectID{}, err
	}
	var found []git.ObjectID
	for _, id := range ids {
		t, _, err := sn.Header(ctx, id)
		if err != nil {
			return git.ObjectID{}, err
		}
		if t != git.CommitObject && t != git.TagObject {
			continue
		}
		ok, err := sn.Reachable(ctx, view, id)
		if err != nil {
			return git.ObjectID{}, err
		}
		if ok {
			found = append(found, id)
		}
	}
	switch len(found) {
	case 0:
		return git.ObjectID{}, unknownRevision(prefix)
	case 1:
		return found[0], nil
	}
	return git.ObjectID{}, cairn.Errorf(cairn.Invalid, "revision %q is ambiguous: %d commits start with it; give more digits", prefix, len(found))
}

// climb applies the suffixes of a revision to a commit.
func (sn *Snapshot) climb(ctx context.Context, id git.ObjectID, suffix, rev string) (git.ObjectID, error) {
	unknown := func() error {
		return cairn.Errorf(cairn.Invalid, "revision %q: of the suffixes only ~n, ^n and ^{commit} are understood", cairn.Clip(rev))
	}
	steps := 0
	for suffix != "" {
		op := suffix[0]
		suffix = suffix[1:]
		if op == '^' && strings.HasPrefix(suffix, "{") {
			kind, rest, ok := strings.Cut(suffix[1:], "}")
			if !ok || kind != "" && kind != "commit" {
				return id, unknown()
			}
			suffix = rest
			continue
		}
		digits := len(suffix) - len(strings.TrimLeft(suffix, "0123456789"))
		n := 1
		if digits > 0 {
			var err error
			if n, err = strconv.Atoi(suffix[:digits]); err != nil {
				return id, unknown()
			}
		}
		suffix = suffix[digits:]
		if suffix != "" && suffix[0] != '~' && suffix[0] != '^' {
			return id, unknown()
		}
		generations, parent := n, 1
		if op == '^' {
			generations, parent = min(n, 1), n
		}
		if steps += generations; steps > maxSteps {
			return id, cairn.Errorf(cairn.Invalid, "revision %q climbs more than %d commits", cairn.Clip(rev), maxSteps)
		}
		for range generations {
			links, err := sn.Commit(ctx, id)
			if err != nil {
				return id, err
			}
			if parent > len(links.Parents) {
				return id, unknownRevision(rev)
			}
			id = links.Parents[parent-1]
		}
	}
	return id, nil
}
