package demo

import (
	"context"
	"strings"
)

// refsOf returns the refs of a repository on the disk, unpeeled.
func refsOf(ctx context.Context, dir, prefix string) (map[string]string, error) {
	out, err := Git(ctx, dir, "for-each-ref", "--format=%(objectname) %(refname)", prefix)
	if err != nil {
		return nil, err
	}
	return parseRefs(out), nil
}

// remoteRefs returns the refs that a server advertises, unpeeled.
func remoteRefs(ctx context.Context, dir, remote string) (map[string]string, error) {
	out, err := Git(ctx, dir, "ls-remote", "-q", "--refs", remote)
	if err != nil {
		return nil, err
	}
	return parseRefs(out), nil
}

func parseRefs(out string) map[string]string {
	refs := map[string]string{}
	for line := range strings.Lines(out) {
		if f := strings.Fields(line); len(f) == 2 {
			refs[f[1]] = f[0]
		}
	}
	return refs
}

// filesOf returns the paths of a commit.
func filesOf(ctx context.Context, dir, commit string) (map[string]bool, error) {
	out, err := Git(ctx, dir, "ls-tree", "-r", "-z", "--full-tree", "--name-only", commit)
	if err != nil {
		return nil, err
	}
	files := map[string]bool{}
	for path := range strings.SplitSeq(out, "\x00") {
		if path != "" {
			files[path] = true
		}
	}
	return files, nil
}
