// Package blame reads what comes from and goes to git blame: the ranges of
// lines that a caller asks for, which are checked before git sees them, and the
// lines that git tells. It runs nothing.
package blame

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// ErrRange is in the chain of every error about a range that is refused.
var ErrRange = errors.New("invalid range")

// maxRange bounds one range, in bytes.
const maxRange = 512

// Range is an argument of git blame -L that git understands and that can do no
// harm.
type Range struct{ text string }

// String returns the argument.
func (r Range) String() string { return r.text }

// The two ends of a range: numbers that are no more than a line can have, or
// patterns.
var (
	number = regexp.MustCompile(`^[1-9][0-9]{0,8}$`)
	offset = regexp.MustCompile(`^[+-][1-9][0-9]{0,8}$`)
)

// ParseRange checks a range:
//
//	10   10,20   10,   ,20   10,+5   10,-5
//	/start/   /start/,/end/   /start/,+5   ^/start/,20
//	:function   :^function
//
// A pattern is a basic regular expression without intervals and back
// references, whose matching takes time and memory without bound.
func ParseRange(text string) (Range, error) {
	if len(text) > maxRange {
		return Range{}, fmt.Errorf("%w: longer than %d bytes", ErrRange, maxRange)
	}
	if strings.ContainsAny(text, "\x00\n") {
		return Range{}, fmt.Errorf("%w: it holds a line feed or NUL", ErrRange)
	}
	var err error
	if name, ok := strings.CutPrefix(text, ":"); ok {
		err = checkFunction(strings.TrimPrefix(name, "^"))
	} else {
		err = checkLines(text)
	}
	if err != nil {
		return Range{}, fmt.Errorf("%w %q: %w", ErrRange, text, err)
	}
	return Range{text}, nil
}

func checkFunction(pattern string) error {
	if pattern == "" {
		return errors.New("a function's name is missing")
	}
	return checkPattern(pattern)
}

func checkLines(text string) error {
	start, rest, err := cutEnd(strings.TrimPrefix(text, "^"))
	if err != nil {
		return err
	}
	if strings.HasPrefix(text, "^") && !strings.HasPrefix(start, "/") {
		return errors.New("a ^ comes before a pattern")
	}
	if start != "" && start[0] != '/' && !number.MatchString(start) {
		return errors.New("its start is neither a line's number, from 1, nor a /pattern/")
	}
	if rest == "" {
		if start == "" {
			return errors.New("it is empty")
		}
		return nil
	}
	end, rest, err := cutEnd(rest[1:])
	switch {
	case err != nil:
		return err
	case rest != "":
		return errors.New("it has more than two ends")
	case end == "" && start == "":
		return errors.New("it is empty")
	case end != "" && end[0] != '/' && !number.MatchString(end) && !offset.MatchString(end):
		return errors.New("its end is neither a line's number, nor +count or -count, nor a /pattern/")
	}
	return nil
}

// cutEnd takes the number or the pattern off that text begins with. What
// follows is empty or begins with a comma.
func cutEnd(text string) (end, rest string, err error) {
	if !strings.HasPrefix(text, "/") {
		i := strings.IndexByte(text, ',')
		if i < 0 {
			return text, "", nil
		}
		return text[:i], text[i:], nil
	}
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '/':
			if rest = text[i+1:]; rest != "" && rest[0] != ',' {
				return "", "", errors.New("something follows a pattern")
			}
			return text[:i+1], rest, checkPattern(text[1:i])
		}
	}
	return "", "", errors.New("a pattern does not end in a slash")
}

// checkPattern refuses intervals and back references. In a class a backslash
// is nothing special to git, so that this refuses a little more than it must.
func checkPattern(pattern string) error {
	if pattern == "" {
		return errors.New("a pattern is empty")
	}
	for i := 0; i < len(pattern); i++ {
		if pattern[i] != '\\' {
			continue
		}
		if i++; i == len(pattern) {
			return errors.New("a pattern ends in a backslash")
		}
		if c := pattern[i]; c == '{' || c >= '0' && c <= '9' {
			return errors.New("a pattern has an interval or a back reference")
		}
	}
	return nil
}
