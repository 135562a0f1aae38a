package odb

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/gitexec"
)

// MergeOrder says what to merge. The two commits must be such that the caller
// may have all that they lead to.
type MergeOrder struct {
	Ours, Theirs git.ObjectID // commits; theirs is merged into ours
	// OursName and TheirsName are what conflict markers call them, if git can
	// be made to; else it calls them by their ids.
	OursName, TheirsName string
	// Unrelated allows histories that have nothing in common.
	Unrelated bool
}

// Merge is the outcome of a merge. Its new objects lie apart from the
// repository. Close it in every case.
type Merge struct {
	// Tree is what git merge-tree --write-tree says: with conflicts, a tree
	// whose files have conflict markers.
	Tree      git.ObjectID
	Conflicts []Conflict // in the order of their paths; none if the merge is clean

	view *gitWork
	kept *GitView // the same
}

// Conflict is a path that git could not merge. A version with a zero Mode does
// not exist.
type Conflict struct {
	Path               string
	Base, Ours, Theirs git.TreeEntry
}

// Merge merges two commits: stock git does, in a view of the snapshot's packs,
// so the outcome is git's own. git reads no attributes there, as in every bare
// repository, and no configuration but its defaults.
func (sn *Snapshot) Merge(ctx context.Context, o MergeOrder) (*Merge, error) {
	v, err := sn.OpenGitView(ctx)
	if errors.Is(err, gitexec.ErrUnavailable) {
		return nil, errNoGit
	}
	if err != nil {
		return nil, err
	}
	m := &Merge{view: &gitWork{v.View, sn, v.Close}, kept: v}
	if err := m.run(ctx, o); err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

// Close removes what git wrote.
func (m *Merge) Close() { m.view.close() }

// run asks the process that stays first. What it cannot tell, a command of its
// own does, which knows the names.
func (m *Merge) run(ctx context.Context, o MergeOrder) error {
	if !o.Unrelated {
		tree, clean, err := m.kept.mergeTree(ctx, o.Ours, o.Theirs)
		if m.Tree = tree; clean || err != nil {
			return err
		}
	}
	operands, err := m.nameOperands(o)
	if err != nil {
		return err
	}
	c := gitexec.Command{Args: []string{"merge-tree", "--write-tree", "-z"}, Operands: operands}
	if o.Unrelated {
		c.Args = append(c.Args, "--allow-unrelated-histories")
	}
	out, err := m.view.run(ctx, c)
	var exit *gitexec.ExitError
	conflicted := errors.As(err, &exit) && exit.Code == 1
	if err != nil && !conflicted {
		return err
	}
	if m.Tree, m.Conflicts, err = parseMerge(m.view.sn.format(), out); err != nil {
		return fmt.Errorf("what git merge-tree says: %w", err)
	}
	if conflicted != (len(m.Conflicts) > 0) {
		return fmt.Errorf("git merge-tree: %d conflicts, yet %v", len(m.Conflicts), exit)
	}
	return nil
}

// nameOperands gives git the two commits, each under its name if that leads git
// to the commit and to nothing else.
func (m *Merge) nameOperands(o MergeOrder) ([]string, error) {
	ids := [2]git.ObjectID{o.Ours, o.Theirs}
	names := [2]string{o.OursName, o.TheirsName}
	refs := map[git.RefName]git.ObjectID{}
	for i, id := range ids {
		ref, err := git.BranchRef(names[i])
		if err != nil || i == 1 && names[0] == names[1] {
			names[i] = "" // no name, or taken
			continue
		}
		refs[ref] = id
	}
	operands := make([]string, len(ids))
	for i, id := range ids {
		if operands[i] = id.String(); m.isPlain(names[i], refs) {
			operands[i] = names[i]
		}
	}
	return operands, m.view.SetRefs(refs)
}

// packedRefs is the file that SetRefs writes.
const packedRefs = "packed-refs"

// isPlain tells whether git takes a name for that of one branch, whatever else
// it tries: gitrevisions(7) has the rules.
func (m *Merge) isPlain(name string, refs map[git.RefName]git.ObjectID) bool {
	if name == "" || name == "@" {
		return false
	}
	if _, err := git.ParseObjectID(strings.ToLower(name)); err == nil {
		return false
	}
	first, _, _ := strings.Cut(name, "/")
	if _, err := os.Lstat(m.view.Path(first)); !errors.Is(err, os.ErrNotExist) || first == packedRefs {
		return false // HEAD, or a file of the view
	}
	found := 0
	for _, prefix := range []string{"", "refs/", "refs/tags/", "refs/heads/", "refs/remotes/"} {
		if _, ok := refs[git.RefName(prefix+name)]; ok {
			found++
		}
	}
	return found == 1
}

// parseMerge reads what git merge-tree --write-tree -z prints: the tree, and if
// there are conflicts "<mode> <id> <stage>\t<path>" for each version, an empty
// item, and messages: a count of paths, these, a kind and a text for each.
func parseMerge(f git.ObjectFormat, out []byte) (tree git.ObjectID, conflicts []Conflict, err error) {
	items := bytes.Split(bytes.TrimSuffix(out, []byte{0}), []byte{0})
	if tree, err = git.ParseObjectID(string(items[0])); err != nil || tree.Format() != f {
		return tree, nil, fmt.Errorf("no tree: %q", clipBytes(items[0]))
	}
	items = items[1:]
	for len(items) > 0 && len(items[0]) > 0 {
		path, stage, entry, err := parseEntry(items[0])
		if err == nil && stage == 0 {
			err = fmt.Errorf("no conflict: %q", clipBytes(items[0]))
		}
		if err != nil {
			return tree, nil, err
		}
		items = items[1:]
		if n := len(conflicts); n == 0 || conflicts[n-1].Path != path {
			conflicts = append(conflicts, Conflict{Path: path})
		}
		c := &conflicts[len(conflicts)-1]
		*[]*git.TreeEntry{&c.Base, &c.Ours, &c.Theirs}[stage-1] = entry
	}
	if len(items) > 0 && len(conflicts) == 0 {
		conflicts, err = messagePaths(items[1:])
	}
	return tree, conflicts, err
}

// parseEntry reads "<mode> <id> <stage>\t<path>".
func parseEntry(item []byte) (path string, stage int, e git.TreeEntry, err error) {
	bad := fmt.Errorf("malformed entry: %q", clipBytes(item))
	head, path, ok := strings.Cut(string(item), "\t")
	fields := strings.Fields(head)
	if !ok || len(fields) != 3 {
		return "", 0, e, bad
	}
	if stage, err = strconv.Atoi(fields[2]); err != nil || stage < 0 || stage > 3 {
		return "", 0, e, bad
	}
	if e.Mode, err = git.ParseFileMode(fields[0]); err != nil {
		return "", 0, e, bad
	}
	if e.ID, err = git.ParseObjectID(fields[1]); err != nil {
		return "", 0, e, bad
	}
	e.Name = path[strings.LastIndexByte(path, '/')+1:]
	return path, stage, e, nil
}

// messagePaths finds the paths of a conflict that has no versions, such as a
// folder that was split: the messages of conflicts name them.
func messagePaths(items [][]byte) ([]Conflict, error) {
	var conflicts []Conflict
	seen := map[string]bool{}
	for len(items) > 0 {
		n, err := strconv.Atoi(string(items[0]))
		if err != nil || n < 0 || n > len(items)-3 {
			return nil, fmt.Errorf("malformed message: %q", clipBytes(items[0]))
		}
		if bytes.HasPrefix(items[n+1], []byte("CONFLICT")) {
			for _, path := range items[1 : n+1] {
				if p := string(path); !seen[p] {
					seen[p] = true
					conflicts = append(conflicts, Conflict{Path: p})
				}
			}
		}
		items = items[n+3:]
	}
	return conflicts, nil
}

func clipBytes(b []byte) []byte { return b[:min(len(b), 80)] }

// Take puts the new objects of a clean merge into a pack. Beside it, the tree
// relies only on what is reachable in the snapshot.
func (m *Merge) Take(ctx context.Context, pack *PackBuilder, ours, theirs git.ObjectID) error {
	var bases []git.ObjectID
	for _, id := range []git.ObjectID{ours, theirs} {
		links, err := m.view.sn.Commit(ctx, id)
		if err != nil {
			return err
		}
		bases = append(bases, links.Tree)
	}
	return m.view.take(ctx, m.Tree, pack, bases...)
}

// Entry returns what lies at a path of the merge's tree; a zero Mode if nothing
// does.
func (m *Merge) Entry(ctx context.Context, path string) (git.TreeEntry, error) {
	e := git.TreeEntry{Mode: git.ModeTree, ID: m.Tree}
	for name := range strings.SplitSeq(path, "/") {
		if !e.Mode.IsTree() {
			return git.TreeEntry{}, nil
		}
		data, err := m.ReadTree(ctx, e.ID)
		if err != nil {
			return git.TreeEntry{}, err
		}
		var ok bool
		if e, ok, err = git.FindTreeEntry(m.view.sn.format(), data, name); err != nil || !ok {
			return git.TreeEntry{}, err
		}
	}
	return e, nil
}

// Blob returns up to max bytes of a blob of the merge from its start, and its
// size.
func (m *Merge) Blob(ctx context.Context, id git.ObjectID, max int64) (data []byte, size int64, err error) {
	return m.view.blob(ctx, id, max)
}
