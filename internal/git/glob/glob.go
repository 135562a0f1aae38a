// Package glob matches the paths of files with globs, in time that grows with
// the path alone, whatever the glob: globs come from outside. Its rules are
// those of .gitignore where a path is to be chosen: a glob without a slash is
// about names at any depth, one with a slash about paths from the root, and one
// that matches a folder means all that is in it. It knows paths as text and
// reads no file.
package glob

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
)

// Bounds of a Set. Matching costs at most the length of all globs for each byte
// of a path.
const (
	MaxGlobs  = 100
	MaxLength = 4096 // of all globs together, in bytes
)

// ErrGlob is in the chain of every error about globs that are refused.
var ErrGlob = errors.New("invalid glob")

// Set is a list of globs, of which one that matches is enough. It is safe for
// concurrent use.
//
//   - any text within a name
//     ?        one character of a name
//     [a-z]    one character of a class; [!a-z] and [^a-z] one of all others
//     {a,b}    either
//     **       between slashes or at an end: any number of folders
//     \        takes the next character as it is
type Set struct {
	names   map[string]bool // that files or folders have
	suffix  []string        // of names
	pattern *regexp.Regexp  // of all other globs; nil: there are none
}

// Compile reads globs. A set of none matches nothing.
func Compile(globs []string) (*Set, error) {
	s := &Set{names: map[string]bool{}}
	if len(globs) > MaxGlobs {
		return nil, fmt.Errorf("%w: %d of them, more than %d", ErrGlob, len(globs), MaxGlobs)
	}
	length := 0
	var rest []string
	for _, glob := range globs {
		if length += len(glob); length > MaxLength {
			return nil, fmt.Errorf("%w: they have more than %d bytes together", ErrGlob, MaxLength)
		}
		tail, star := strings.CutPrefix(glob, "*")
		switch {
		case strings.Trim(glob, "/") == "" || strings.IndexByte(glob, 0) >= 0:
			return nil, fmt.Errorf("%w %q: it names nothing", ErrGlob, glob)
		case !strings.ContainsAny(glob, special):
			s.names[glob] = true
		case star && tail != "" && !strings.ContainsAny(tail, special):
			s.suffix = append(s.suffix, tail)
		default:
			expression, err := translate(glob)
			if err != nil {
				return nil, fmt.Errorf("%w %q: %w", ErrGlob, glob, err)
			}
			rest = append(rest, expression)
		}
	}
	if len(rest) > 0 {
		var err error
		if s.pattern, err = regexp.Compile(`^(?s:` + strings.Join(rest, "|") + `)$`); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrGlob, err)
		}
	}
	return s, nil
}

// special is what a glob has that is more than a name.
const special = `*?[]{}\/`

// Match tells whether a glob matches the path of a file, or a folder that it is
// in.
func (s *Set) Match(path string) bool {
	if len(s.names) > 0 || len(s.suffix) > 0 {
		for name := range strings.SplitSeq(path, "/") {
			if s.names[name] {
				return true
			}
			for _, suffix := range s.suffix {
				if strings.HasSuffix(name, suffix) {
					return true
				}
			}
		}
	}
	return s.pattern != nil && s.pattern.MatchString(path)
}

// translate makes a regular expression of a glob, for the whole path of a file.
func translate(glob string) (string, error) {
	t := translator{rest: glob}
	folder := strings.HasSuffix(glob, "/") && !strings.HasSuffix(glob, `\/`)
	if strings.IndexByte(glob, '/') < 0 {
		t.out.WriteString(`(?:.*/)?`) // a name, at any depth
	} else {
		t.rest = strings.Trim(glob, "/")
	}
	if err := t.run(); err != nil {
		return "", err
	}
	if folder {
		t.out.WriteString(`/.*`)
	} else {
		t.out.WriteString(`(?:/.*)?`)
	}
	return t.out.String(), nil
}

// translator translates a glob from its start to its end.
type translator struct {
	rest   string
	out    strings.Builder
	braces int
	// begun tells whether something of the present name is out already.
	begun bool
}

func (t *translator) run() error {
	for t.rest != "" {
		if t.folders() {
			continue
		}
		c := t.rest[0]
		t.rest = t.rest[1:]
		t.begun = c != '/'
		switch {
		case c == '*':
			t.out.WriteString(`[^/]*`)
			t.rest = strings.TrimLeft(t.rest, "*")
		case c == '?':
			t.out.WriteString(`[^/]`)
		case c == '[':
			if err := t.class(); err != nil {
				return err
			}
		case c == '{':
			t.braces++
			t.out.WriteString(`(?:`)
		case c == '}' && t.braces > 0:
			t.braces--
			t.out.WriteByte(')')
		case c == ',' && t.braces > 0:
			t.out.WriteByte('|')
		case c == '\\' && t.rest == "":
			return errors.New("it ends in a backslash")
		case c == '\\':
			c, t.rest = t.rest[0], t.rest[1:]
			t.literal(c)
		default:
			t.literal(c)
		}
	}
	if t.braces > 0 {
		return errors.New("a { is not closed")
	}
	return nil
}

// literal writes a character that stands for itself, of which c is the first
// byte.
func (t *translator) literal(c byte) {
	n := 0
	for n < len(t.rest) && c >= 0xc0 && t.rest[n]&0xc0 == 0x80 {
		n++
	}
	t.out.WriteString(regexp.QuoteMeta(string([]byte{c}) + t.rest[:n]))
	t.rest = t.rest[n:]
}

// folders translates ** where it stands for folders: at the start of a name,
// with the slash that follows or at the end.
func (t *translator) folders() bool {
	tail, ok := strings.CutPrefix(t.rest, "**")
	if !ok || t.begun {
		return false
	}
	if tail == "" {
		t.out.WriteString(`.*`)
		t.rest = ""
		return true
	}
	if tail[0] != '/' {
		return false
	}
	t.out.WriteString(`(?:.*/)?`)
	t.rest = tail[1:]
	for strings.HasPrefix(t.rest, "**/") { // the same again
		t.rest = t.rest[3:]
	}
	return true
}

// class translates [...], of which the [ was read. A class never holds a slash.
func (t *translator) class() error {
	end := strings.IndexByte(t.rest[min(len(t.rest), 1):], ']') + 1
	if len(t.rest) > 0 && (t.rest[0] == '!' || t.rest[0] == '^') && end == 1 {
		end = strings.IndexByte(t.rest[min(len(t.rest), 2):], ']') + 2 // [!]] is all but ]
		if end < 2 {
			end = 0
		}
	}
	if end <= 0 {
		return errors.New("a [ is not closed")
	}
	inner := t.rest[:end]
	t.rest = t.rest[end+1:]
	negated := inner[0] == '!' || inner[0] == '^'
	if negated {
		inner = inner[1:]
	}
	if inner == "" || strings.ContainsAny(inner, `/\[`) {
		return errors.New(`a class must not hold a slash, a backslash or a [`)
	}
	var b strings.Builder
	for i, c := range inner {
		if c == ']' || c == '^' || c == '-' && (i == 0 || i == len(inner)-1) {
			b.WriteByte('\\')
		}
		b.WriteRune(c)
	}
	expression := "[" + b.String() + "]"
	if negated {
		expression = "[^/" + b.String() + "]"
	}
	if _, err := syntax.Parse(expression, syntax.Perl); err != nil {
		return errors.New("a class is malformed")
	}
	t.out.WriteString(expression)
	return nil
}
