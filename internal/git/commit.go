package git

import (
	"bytes"
	"fmt"
	"strings"
)

// Commit is a parsed commit. Encode gives back the exact bytes of what
// ParseCommit accepted only for commits that Git itself would write; a commit
// that must keep its id is passed on as bytes.
type Commit struct {
	Tree      ObjectID
	Parents   []ObjectID
	Author    Signature
	Committer Signature
	Encoding  string   // the encoding header; empty means UTF-8
	Extra     []Header // further headers in order, gpgsig among them
	Message   string   // everything after the blank line
}

// Header is a commit or tag header that has no field of its own. Value holds
// continuation lines joined by line feeds, without their leading blanks.
type Header struct{ Name, Value string }

// Signature returns the value of the gpgsig header; empty for an unsigned
// commit.
func (c *Commit) Signature() string {
	for _, h := range c.Extra {
		if h.Name == "gpgsig" || h.Name == "gpgsig-sha256" {
			return h.Value
		}
	}
	return ""
}

// UTF8 returns a text of the commit (its message, a name) for who reads UTF-8,
// as git log does: Latin-1 is converted if that is the commit's encoding. In
// others, and in none, bytes that are not UTF-8 become U+FFFD.
func (c *Commit) UTF8(text string) string {
	switch strings.ToLower(c.Encoding) {
	case "iso-8859-1", "iso8859-1", "iso_8859-1", "latin1", "latin-1":
		runes := make([]rune, len(text))
		for i := range len(text) {
			runes[i] = rune(text[i])
		}
		return string(runes)
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}

// ParseCommit reads a commit. The tree and the parents must be well formed;
// signatures and further headers are read leniently, as history demands.
func ParseCommit(f ObjectFormat, data []byte) (*Commit, error) {
	nobody := ParseSignature(nil)
	c := &Commit{Author: nobody, Committer: nobody}
	s := commitScanner{format: f, rest: data}
	var err error
	if c.Tree, err = s.id("tree"); err != nil {
		return nil, err
	}
	for s.has("parent ") {
		p, err := s.id("parent")
		if err != nil {
			return nil, err
		}
		c.Parents = append(c.Parents, p)
	}
	var seen [3]bool // the first of each name is the one that counts
	once := func(i int) bool {
		first := !seen[i]
		seen[i] = true
		return first
	}
	c.Message = string(eachHeader(s.rest, func(name, value []byte) {
		switch {
		case string(name) == "author" && once(0):
			c.Author = ParseSignature(value)
		case string(name) == "committer" && once(1):
			c.Committer = ParseSignature(value)
		case string(name) == "encoding" && once(2):
			c.Encoding = string(value)
		default:
			c.Extra = append(c.Extra, Header{string(name), string(value)})
		}
	}))
	return c, nil
}

// Encode returns the commit's bytes.
func (c *Commit) Encode() []byte {
	b := make([]byte, 0, 256+48*len(c.Parents)+len(c.Message))
	b = append(c.Tree.appendHex(append(b, "tree "...)), '\n')
	for _, p := range c.Parents {
		b = append(p.appendHex(append(b, "parent "...)), '\n')
	}
	b = append(c.Author.AppendTo(append(b, "author "...)), '\n')
	b = append(c.Committer.AppendTo(append(b, "committer "...)), '\n')
	if c.Encoding != "" {
		b = fmt.Appendf(b, "encoding %s\n", c.Encoding)
	}
	b = appendHeaders(b, c.Extra)
	b = append(b, '\n')
	return append(b, c.Message...)
}

// CommitLinks is what a walk over history needs of a commit.
type CommitLinks struct {
	Tree    ObjectID
	Parents []ObjectID
	Date    int64 // the committer's, in Unix seconds; 0 if it has none that can be read
}

// Links returns what ParseCommitLinks reads.
func (c *Commit) Links() CommitLinks {
	return CommitLinks{Tree: c.Tree, Parents: c.Parents, Date: c.Committer.When.Unix()}
}

// ParseCommitLinks reads a commit's tree, parents and date and nothing else.
func ParseCommitLinks(f ObjectFormat, data []byte) (CommitLinks, error) {
	var l CommitLinks
	s := commitScanner{format: f, rest: data}
	var err error
	if l.Tree, err = s.id("tree"); err != nil {
		return l, err
	}
	for s.has("parent ") {
		p, err := s.id("parent")
		if err != nil {
			return l, err
		}
		l.Parents = append(l.Parents, p)
	}
	for len(s.rest) > 0 && s.rest[0] != '\n' {
		line, rest, _ := bytes.Cut(s.rest, []byte{'\n'})
		s.rest = rest
		if v, ok := bytes.CutPrefix(line, []byte("committer ")); ok {
			l.Date = signatureDate(v)
			break
		}
	}
	return l, nil
}

func signatureDate(line []byte) int64 {
	line = line[bytes.LastIndexByte(line, '>')+1:]
	line = bytes.TrimLeft(line, " ")
	var n int64
	for _, c := range line {
		if c < '0' || c > '9' {
			break
		}
		if n = n*10 + int64(c-'0'); n > 1<<55 {
			return 0
		}
	}
	return n
}

// commitScanner reads the fixed headers that start a commit.
type commitScanner struct {
	format ObjectFormat
	rest   []byte
}

func (s *commitScanner) has(prefix string) bool {
	return len(s.rest) >= len(prefix) && string(s.rest[:len(prefix)]) == prefix
}

func (s *commitScanner) id(name string) (ObjectID, error) {
	n := len(name) + 1 + s.format.HexSize()
	if !s.has(name) || len(s.rest) <= n || s.rest[len(name)] != ' ' || s.rest[n] != '\n' {
		return ObjectID{}, fmt.Errorf("commit: malformed %s header", name)
	}
	id, err := parseID(s.rest[len(name)+1 : n])
	if err != nil {
		return ObjectID{}, fmt.Errorf("commit: malformed %s header: %w", name, err)
	}
	s.rest = s.rest[n+1:]
	return id, nil
}

// eachHeader calls header for each header line, continuation lines joined, and
// returns the body: what follows the blank line. Any bytes will do, as they do
// for git: a line without a value is a header without one, and a body that is
// missing is empty.
func eachHeader(data []byte, header func(name, value []byte)) (body []byte) {
	for len(data) > 0 {
		line, rest, _ := bytes.Cut(data, []byte{'\n'})
		if len(line) == 0 {
			return rest
		}
		data = rest
		name, value, _ := bytes.Cut(line, []byte{' '})
		if len(data) > 0 && data[0] == ' ' {
			value = bytes.Clone(value)
		}
		for len(data) > 0 && data[0] == ' ' {
			line, data, _ = bytes.Cut(data[1:], []byte{'\n'})
			value = append(append(value, '\n'), line...)
		}
		header(name, value)
	}
	return nil
}

func appendHeaders(b []byte, headers []Header) []byte {
	for _, h := range headers {
		b = append(append(b, h.Name...), ' ')
		for i := range len(h.Value) {
			b = append(b, h.Value[i])
			if h.Value[i] == '\n' {
				b = append(b, ' ')
			}
		}
		b = append(b, '\n')
	}
	return b
}
