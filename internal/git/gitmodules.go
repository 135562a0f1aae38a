package git

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// IsGitmodulesName tells whether some file system takes the name of a tree
// entry for ".gitmodules".
func IsGitmodulesName(name string) bool { return isDotGitModules(name) }

// CheckGitmodules refuses a .gitmodules file that would do harm in the clone
// of somebody with an old Git (fsck.c, fsck_gitmodules_fn): submodule names
// that leave .git/modules, urls and paths that look like options, commands,
// line feeds in urls, control characters in paths. What cannot be parsed is
// let pass from there on, as git does: it does not read on either.
func CheckGitmodules(data []byte) error {
	r := configReader{rest: bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))}
	for r.next() {
		if r.section != "submodule" || r.subsection == nil {
			continue
		}
		if err := checkSubmodule(*r.subsection, r.key, r.value); err != nil {
			return err
		}
	}
	return nil
}

func checkSubmodule(name, key, value string) error {
	bad := func(id string) error {
		return checkError(BlobObject, id, fmt.Sprintf("disallowed %s of submodule %q: %q", key, clip(name), clip(value)))
	}
	if name == "" || hasDotDot(name) || strings.ContainsAny(name, "\x00\r\n") {
		return checkError(BlobObject, "gitmodulesName", fmt.Sprintf("disallowed submodule name %q", clip(name)))
	}
	switch {
	case key == "url" && !isHarmlessURL(value):
		return bad("gitmodulesUrl")
	case key == "path" && (strings.HasPrefix(value, "-") || strings.IndexFunc(value, func(r rune) bool { return r < ' ' }) >= 0):
		return bad("gitmodulesPath")
	case key == "update" && strings.HasPrefix(value, "!"):
		return bad("gitmodulesUpdate")
	}
	return nil
}

func hasDotDot(name string) bool {
	for part := range strings.FieldsFuncSeq(name, func(r rune) bool { return r == '/' || r == '\\' }) {
		if part == ".." {
			return true
		}
	}
	return false
}

// isHarmlessURL follows submodule-config.c, check_submodule_url, and refuses
// line ends in every URL, as no URL holds one for a good reason.
func isHarmlessURL(s string) bool {
	if strings.HasPrefix(s, "-") || strings.ContainsAny(s, "\r\n\x00") || strings.ContainsAny(decodeURL(s), "\r\n") {
		return false
	}
	if strings.HasPrefix(s, "../") || strings.HasPrefix(s, "./") {
		return !climbsIntoHost(s)
	}
	for _, scheme := range []string{"http", "https", "ftp", "ftps"} {
		if rest, ok := strings.CutPrefix(s, scheme+"::"); ok {
			return hasHost(rest)
		}
		if strings.HasPrefix(s, scheme+"://") {
			return hasHost(s)
		}
	}
	return true
}

// climbsIntoHost tells whether a relative URL that leaves its base by "../"
// goes on in a way that would replace the host there.
func climbsIntoHost(s string) bool {
	climbed := false
	for {
		if rest, ok := strings.CutPrefix(s, "../"); ok {
			s, climbed = rest, true
		} else if rest, ok := strings.CutPrefix(s, "./"); ok {
			s = rest
		} else {
			return climbed && s != "" && (s[0] == ':' || s[0] == '/')
		}
	}
}

// hasHost tells whether a URL has a scheme and a host, where git looks for
// them (credential.c, credential_from_url_gently).
func hasHost(s string) bool {
	scheme, rest, ok := strings.Cut(s, "://")
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		rest = rest[:i]
	}
	return ok && scheme != "" && rest[strings.IndexByte(rest, '@')+1:] != ""
}

// decodeURL decodes what is an escape and leaves the rest, as git does (url.c).
func decodeURL(s string) string {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil && c > 0 {
				b = append(b, byte(c))
				i += 2
				continue
			}
		}
		b = append(b, s[i])
	}
	return string(b)
}

// configReader reads the variables of a file in git-config(1) syntax. It ends
// at the first thing that is none.
type configReader struct {
	rest []byte

	section    string
	subsection *string
	key, value string
}

// next moves to the next variable.
func (r *configReader) next() bool {
	for {
		r.rest = bytes.TrimLeft(r.rest, " \t\r\n\v\f")
		switch {
		case len(r.rest) == 0:
			return false
		case r.rest[0] == '#' || r.rest[0] == ';':
			_, r.rest, _ = bytes.Cut(r.rest, []byte{'\n'})
		case r.rest[0] == '[':
			if !r.header() {
				return false
			}
		default:
			return r.variable()
		}
	}
}

// header reads [section], [section "subsection"] or [section.subsection].
func (r *configReader) header() bool {
	i := 1
	for i < len(r.rest) && (isConfigName(r.rest[i]) || r.rest[i] == '.') {
		i++
	}
	name := strings.ToLower(string(r.rest[1:i]))
	r.rest = r.rest[i:]
	r.section, r.subsection = name, nil
	if section, sub, ok := strings.Cut(name, "."); ok {
		r.section, r.subsection = section, &sub
	}
	if len(r.rest) > 0 && r.rest[0] == ']' {
		r.rest = r.rest[1:]
		return true
	}
	r.rest = bytes.TrimLeft(r.rest, " \t")
	if len(r.rest) == 0 || r.rest[0] != '"' {
		return false
	}
	var sub []byte
	for i := 1; i < len(r.rest); i++ {
		c := r.rest[i]
		switch {
		case c == '\n':
			return false
		case c == '\\' && i+1 < len(r.rest) && r.rest[i+1] != '\n':
			i++
			sub = append(sub, r.rest[i])
		case c == '"':
			if i+1 >= len(r.rest) || r.rest[i+1] != ']' {
				return false
			}
			s := string(sub)
			r.subsection = &s
			r.rest = r.rest[i+2:]
			return true
		default:
			sub = append(sub, c)
		}
	}
	return false
}

func (r *configReader) variable() bool {
	i := 0
	for i < len(r.rest) && isConfigName(r.rest[i]) {
		i++
	}
	if i == 0 || r.rest[0] == '-' || r.rest[0] >= '0' && r.rest[0] <= '9' {
		return false
	}
	r.key, r.value = strings.ToLower(string(r.rest[:i])), ""
	r.rest = bytes.TrimLeft(r.rest[i:], " \t")
	if len(r.rest) == 0 || r.rest[0] == '\n' || bytes.HasPrefix(r.rest, []byte("\r\n")) {
		return true
	}
	if r.rest[0] != '=' {
		return false
	}
	r.rest = r.rest[1:]
	return r.readValue()
}

// readValue reads what follows the equals sign: quotes, escapes, comments and
// continued lines as in config.c, parse_value.
func (r *configReader) readValue() bool {
	var value []byte
	kept := 0 // up to the last byte that is not a trailing blank
	quoted, comment := false, false
	for len(r.rest) > 0 {
		c := r.rest[0]
		r.rest = r.rest[1:]
		if c == '\r' && len(r.rest) > 0 && r.rest[0] == '\n' {
			c, r.rest = '\n', r.rest[1:]
		}
		switch {
		case c == '\n':
			r.value = string(value[:kept])
			return !quoted
		case comment:
		case !quoted && (c == ' ' || c == '\t' || c == '\v' || c == '\f' || c == '\r'):
			if len(value) > 0 {
				value = append(value, c)
			}
		case !quoted && (c == ';' || c == '#'):
			comment = true
		case c == '"':
			quoted = !quoted
			kept = len(value)
		case c == '\\':
			if len(r.rest) == 0 {
				return false
			}
			c = r.rest[0]
			r.rest = r.rest[1:]
			switch c {
			case '\n':
				continue
			case 'n':
				c = '\n'
			case 't':
				c = '\t'
			case 'b':
				c = '\b'
			case '"', '\\':
			default:
				return false
			}
			value = append(value, c)
			kept = len(value)
		default:
			value = append(value, c)
			kept = len(value)
		}
	}
	r.value = string(value[:kept])
	return !quoted
}

func isConfigName(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-'
}
