package git

import (
	"bytes"
	"fmt"
	"strconv"
)

// CheckObject checks an object from outside as `git fsck --strict` does, so
// that what a repository holds is never refused by another's transfer checks.
// What git only remarks on, such as a tag without a tagger, passes. The error
// names git's message id (see git-fsck(1), fsck-msgids). An object that passes
// can be parsed. It is stricter than some versions of git in what no Git writes:
// ids in capitals, tree entries of no known kind, blanks before a date.
func CheckObject(f ObjectFormat, t ObjectType, data []byte) error {
	return checkObject(f, t, data, false)
}

// CheckOldObject is CheckObject for history that others wrote long ago. It lets
// pass what does no harm and what old versions of Git and other programs wrote
// into many a public repository: zero-padded modes, malformed names, addresses
// and dates, several authors, NUL bytes in messages.
func CheckOldObject(f ObjectFormat, t ObjectType, data []byte) error {
	return checkObject(f, t, data, true)
}

func checkObject(f ObjectFormat, t ObjectType, data []byte, old bool) error {
	switch t {
	case TreeObject:
		return checkTree(f, data, old)
	case CommitObject:
		return checkCommit(f, data, old)
	case TagObject:
		return checkTag(f, data, old)
	}
	return nil
}

func checkError(t ObjectType, id, detail string) error {
	return fmt.Errorf("%s: %s: %s", t, id, detail)
}

func checkTree(f ObjectFormat, data []byte, old bool) error {
	bad := func(id, detail string) error { return checkError(TreeObject, id, detail) }
	// candidates holds earlier names of files that a later directory of the
	// same name may follow with other names between them ("a", "a.b", "a/").
	var candidates [][]byte
	var lastName []byte
	var lastMode FileMode
	r := NewTreeReader(f, data)
	for {
		start := r.rest
		ok, err := r.Next()
		if err != nil {
			return bad("badTree", err.Error())
		}
		if !ok {
			return nil
		}
		if id, detail := checkEntry(start[0], r.Mode, r.Name, r.ID, old); id != "" {
			return bad(id, detail)
		}
		if lastName != nil {
			if c := compareNames(lastName, lastMode.IsTree(), r.Name, r.Mode.IsTree()); c > 0 {
				return bad("treeNotSorted", fmt.Sprintf("%q comes after %q", clip(string(r.Name)), clip(string(lastName))))
			}
			if bytes.Equal(lastName, r.Name) {
				return bad("duplicateEntries", fmt.Sprintf("%q twice", clip(string(r.Name))))
			}
		}
		for len(candidates) > 0 && !bytes.HasPrefix(r.Name, candidates[len(candidates)-1]) {
			candidates = candidates[:len(candidates)-1]
		}
		if r.Mode.IsTree() {
			for _, c := range candidates {
				if bytes.Equal(c, r.Name) {
					return bad("duplicateEntries", fmt.Sprintf("%q is a file and a directory", clip(string(r.Name))))
				}
			}
		} else {
			candidates = append(candidates, r.Name)
		}
		lastName, lastMode = r.Name, r.Mode
	}
}

// checkEntry returns git's message id and the detail of what is wrong with an
// entry alone.
func checkEntry(first byte, mode FileMode, name []byte, id ObjectID, old bool) (string, string) {
	switch {
	case first == '0' && !old:
		return "zeroPaddedFilemode", "contains zero-padded file modes"
	case !mode.hasKind():
		return "badFilemode", fmt.Sprintf("mode %o of %q", uint32(mode), clip(string(name)))
	case id.IsZero():
		return "nullSha1", fmt.Sprintf("entry %q points to null sha1", clip(string(name)))
	case bytes.IndexByte(name, '/') >= 0:
		return "fullPathname", fmt.Sprintf("contains full pathname %q", clip(string(name)))
	case !mayBeSpecial(name):
		return "", ""
	}
	switch name := string(name); {
	case name == ".":
		return "hasDot", "contains \".\""
	case name == "..":
		return "hasDotdot", "contains \"..\""
	case isDotGit(name):
		return "hasDotgit", fmt.Sprintf("contains %q", clip(name))
	case mode.IsSymlink() && isDotGitModules(name):
		return "gitmodulesSymlink", ".gitmodules is a symbolic link"
	}
	return "", ""
}

// mayBeSpecial is a fast way to tell that a name is none of those that git or
// a file system treats in its own way: these start with a dot, their short
// name, or a code point that HFS+ ignores, or follow a backslash.
func mayBeSpecial(name []byte) bool {
	switch c := name[0]; {
	case c == '.', c == 'g', c == 'G', c == '~', c >= 0x80:
		return true
	}
	return bytes.IndexByte(name, '\\') >= 0
}

// hasKind tells whether a mode is one of a file, link, directory or submodule,
// whatever its permissions: git writes a few of those, but reads all.
func (m FileMode) hasKind() bool {
	return m.IsFile() || m.IsSymlink() || m.IsTree() || m.IsSubmodule()
}

func checkCommit(f ObjectFormat, data []byte, old bool) error {
	bad := func(id, detail string) error { return checkError(CommitObject, id, detail) }
	if err := checkHeaderBytes(data); err != "" {
		return bad(err, "in the header")
	}
	s := commitScanner{format: f, rest: data}
	if _, err := s.id("tree"); err != nil {
		return bad("missingTree", err.Error())
	}
	for s.has("parent ") {
		if _, err := s.id("parent"); err != nil {
			return bad("badParentSha1", err.Error())
		}
	}
	authors := 0
	for s.has("author ") {
		line, rest, _ := bytes.Cut(s.rest, []byte{'\n'})
		if id := checkIdent(line[len("author "):]); id != "" && !old {
			return bad(id, "malformed author")
		}
		s.rest = rest
		authors++
	}
	switch {
	case authors == 0:
		return bad("missingAuthor", "no author")
	case authors > 1 && !old:
		return bad("multipleAuthors", "several authors")
	case !s.has("committer "):
		return bad("missingCommitter", "no committer")
	}
	line, _, _ := bytes.Cut(s.rest, []byte{'\n'})
	if id := checkIdent(line[len("committer "):]); id != "" && !old {
		return bad(id, "malformed committer")
	}
	if bytes.IndexByte(data, 0) >= 0 && !old {
		return bad("nulInCommit", "holds a NUL byte")
	}
	return nil
}

func checkTag(f ObjectFormat, data []byte, old bool) error {
	bad := func(id, detail string) error { return checkError(TagObject, id, detail) }
	if err := checkHeaderBytes(data); err != "" {
		return bad(err, "in the header")
	}
	if _, err := ParseTag(f, data); err != nil {
		return bad("badTag", err.Error())
	}
	for range 3 { // object, type and tag
		_, data, _ = bytes.Cut(data, []byte{'\n'})
	}
	line, _, _ := bytes.Cut(data, []byte{'\n'})
	if who, ok := bytes.CutPrefix(line, []byte("tagger ")); ok {
		if id := checkIdent(who); id != "" && !old {
			return bad(id, "malformed tagger")
		}
	}
	return nil
}

// checkHeaderBytes returns git's message id if the header holds a NUL or does
// not end (fsck.c, verify_headers).
func checkHeaderBytes(data []byte) string {
	for i, c := range data {
		switch {
		case c == 0:
			return "nulInHeader"
		case c == '\n' && i+1 < len(data) && data[i+1] == '\n':
			return ""
		}
	}
	if len(data) > 0 && data[len(data)-1] == '\n' {
		return ""
	}
	return "unterminatedHeader"
}

// checkIdent returns git's message id for a malformed "Name <email> date zone"
// (fsck.c, fsck_ident).
func checkIdent(b []byte) string {
	open := bytes.IndexAny(b, "<>")
	switch {
	case open == 0:
		return "missingNameBeforeEmail"
	case open < 0:
		return "missingEmail"
	case b[open] == '>':
		return "badName"
	case b[open-1] != ' ':
		return "missingSpaceBeforeEmail"
	}
	b = b[open+1:]
	end := bytes.IndexAny(b, "<>")
	if end < 0 || b[end] != '>' {
		return "badEmail"
	}
	b = b[end+1:]
	if len(b) == 0 || b[0] != ' ' {
		return "missingSpaceBeforeDate"
	}
	b = b[1:]
	digits := countDigits(b)
	switch {
	case digits > 1 && b[0] == '0':
		return "zeroPaddedDate"
	case digits == 0:
		return "badDate"
	}
	if _, err := strconv.ParseInt(string(b[:digits]), 10, 64); err != nil {
		return "badDateOverflow"
	}
	if digits == len(b) || b[digits] != ' ' {
		return "badDate"
	}
	b = b[digits+1:]
	if len(b) != 5 || (b[0] != '+' && b[0] != '-') {
		return "badTimezone"
	}
	if countDigits(b[1:]) != 4 {
		return "badTimezone"
	}
	return ""
}
