package git

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Limits of a path in a tree. Git has none; file systems have these.
const (
	MaxPathLength = 4096
	MaxPathDepth  = 256
)

// ErrPath is in the chain of every error about a path that no tree may hold.
var ErrPath = errors.New("invalid path")

// CheckPath checks a slash-separated path that comes from outside and is to be
// written into a tree: relative, every component non-empty and harmless on
// every file system that a clone may meet (CheckPathComponent).
func CheckPath(path string) error {
	switch {
	case path == "":
		return fmt.Errorf("%w: it is empty", ErrPath)
	case len(path) > MaxPathLength:
		return fmt.Errorf("%w %q: longer than %d bytes", ErrPath, clip(path), MaxPathLength)
	case strings.Count(path, "/") >= MaxPathDepth:
		return fmt.Errorf("%w %q: deeper than %d", ErrPath, clip(path), MaxPathDepth)
	}
	for component := range strings.SplitSeq(path, "/") {
		if err := CheckPathComponent(component); err != nil {
			return fmt.Errorf("%w %q: %w", ErrPath, clip(path), err)
		}
	}
	return nil
}

// CheckPathMode is CheckPath for an entry of that mode: a mode that no Git
// writes is refused, and a symbolic link in the place of .gitmodules, which git
// would follow (verify_path in read-cache.c).
func CheckPathMode(path string, m FileMode) error {
	if err := CheckPath(path); err != nil {
		return err
	}
	switch m {
	case ModeFile, ModeExecutable, ModeTree, ModeSubmodule:
		return nil
	case ModeSymlink:
		if !isDotGitModules(path[strings.LastIndexByte(path, '/')+1:]) {
			return nil
		}
		return fmt.Errorf("%w %q: .gitmodules as a symbolic link", ErrPath, clip(path))
	}
	return fmt.Errorf("%w %q: file mode %s", ErrPath, clip(path), m)
}

// CheckPathComponent refuses the names of tree entries that git refuses with
// core.protectHFS and core.protectNTFS on (verify_path in read-cache.c), and
// those that cannot be written at all.
func CheckPathComponent(name string) error {
	switch {
	case name == "":
		return errors.New("a component is empty")
	case name == "." || name == "..":
		return fmt.Errorf("%q is not a name", name)
	case len(name) > 255:
		return errors.New("a component is longer than 255 bytes")
	case strings.IndexByte(name, 0) >= 0:
		return errors.New("a component holds NUL")
	case strings.IndexByte(name, '\\') >= 0:
		return errors.New("a component holds a backslash, which is a separator on Windows")
	case isDotGit(name):
		return fmt.Errorf("%q could be taken for .git", clip(name))
	}
	return nil
}

// isDotGit tells whether some file system takes name for ".git", or, at a
// backslash, for a path that holds it.
func isDotGit(name string) bool {
	return isHFSDotName(name, "git") || anySuffix(name, isNTFSDotGit)
}

// isDotGitModules tells whether some file system takes name for ".gitmodules",
// which git reads settings from.
func isDotGitModules(name string) bool {
	return isHFSDotName(name, "gitmodules") || anySuffix(name, func(s string) bool {
		return ntfsDotFile(s, "gitmodules", "gi7eba")
	})
}

// isHFSDotName tells whether HFS+ takes name for "."+word: it ignores case and
// a list of invisible code points (utf8.c, next_hfs_char). As for git, the name
// ends before bytes that are not UTF-8.
func isHFSDotName(name, word string) bool {
	var kept strings.Builder
	for i, r := range name {
		if r == utf8.RuneError && !strings.HasPrefix(name[i:], string(utf8.RuneError)) {
			break
		}
		if ignoredByHFS(r) {
			continue
		}
		if kept.Len() > len(word) {
			return false
		}
		kept.WriteRune(r)
	}
	return lowerASCII(kept.String()) == "."+word
}

func ignoredByHFS(r rune) bool {
	return r >= 0x200c && r <= 0x200f || r >= 0x202a && r <= 0x202e || r >= 0x206a && r <= 0x206f || r == 0xfeff
}

// isNTFSDotGit tells whether NTFS takes name for ".git" or its short name
// "git~1": it ignores case, trailing blanks and dots, and what follows a colon
// (path.c, is_ntfs_dotgit).
func isNTFSDotGit(name string) bool {
	name, _, _ = strings.Cut(name, "\\")
	return ntfsEquals(name, ".git") || ntfsEquals(name, "git~1")
}

// ntfsEquals compares with a word in lower case.
func ntfsEquals(name, word string) bool {
	return lowerASCII(ntfsBase(name)) == word
}

// ntfsBase cuts off what NTFS ignores at the end of a name: a stream, blanks
// and dots.
func ntfsBase(name string) string {
	name, _, _ = strings.Cut(name, ":")
	return strings.TrimRight(name, " .")
}

// lowerASCII leaves all but A to Z alone: no file system takes a Kelvin sign
// for a k in these names.
func lowerASCII(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// anySuffix applies a rule to a name and to what follows each backslash in it,
// which Windows takes for a path of its own.
func anySuffix(name string, rule func(string) bool) bool {
	for more := true; more; _, name, more = strings.Cut(name, "\\") {
		if rule(name) {
			return true
		}
	}
	return false
}

// ntfsDotFile follows path.c, is_ntfs_dot_generic: the long name, its short
// forms gitmod~1 to gitmod~4, and the hashed short forms.
func ntfsDotFile(name, word, hashPrefix string) bool {
	if ntfsEquals(name, "."+word) {
		return true
	}
	base := lowerASCII(ntfsBase(name))
	if len(base) != 8 {
		return false
	}
	if base[:6] == word[:6] && base[6] == '~' && base[7] >= '1' && base[7] <= '4' {
		return true
	}
	i := 0
	for tilde := false; i < 8; i++ {
		c := base[i]
		switch {
		case tilde:
			if c < '0' || c > '9' {
				return false
			}
		case c == '~':
			if i == 7 || base[i+1] < '1' || base[i+1] > '9' {
				return false
			}
			tilde = true
		case i >= 6 || c != hashPrefix[i]:
			return false
		}
	}
	return true
}
