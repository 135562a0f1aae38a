package grep

import (
	"bytes"
	"regexp/syntax"
	"strings"
)

// Bounds of what is looked for before the expression is asked.
const (
	maxAlternatives = 6 // of a need
	maxNeeds        = 8
)

// required returns what every match holds: one text of each of the sets; none
// if that is not known of useful ones. With fold they are small ASCII letters.
func required(re *syntax.Regexp, fold bool) [][]string {
	switch re.Op {
	case syntax.OpLiteral:
		if text := literalText(re, fold); len(text) >= 2 {
			return [][]string{{text}}
		}
	case syntax.OpCapture, syntax.OpPlus:
		return required(re.Sub[0], fold)
	case syntax.OpConcat:
		var all [][]string
		for _, sub := range re.Sub {
			if all = append(all, required(sub, fold)...); len(all) >= maxNeeds {
				return all[:maxNeeds]
			}
		}
		return all
	case syntax.OpAlternate:
		var either []string
		for _, sub := range re.Sub {
			one := best(required(sub, fold))
			if len(one) == 0 || len(either)+len(one) > maxAlternatives {
				return nil
			}
			either = append(either, one...)
		}
		return [][]string{either}
	}
	return nil
}

// literalText is the text of a literal; empty if it cannot be looked for.
func literalText(re *syntax.Regexp, fold bool) string {
	text := string(re.Rune)
	folds := re.Flags&syntax.FoldCase != 0
	if folds && !fold || strings.ContainsAny(text, "\n\uFFFD") {
		return ""
	}
	if !fold {
		return text
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r >= 0x80 }) {
		return ""
	}
	return strings.ToLower(text)
}

// best is the set whose shortest text is longest.
func best(sets [][]string) (found []string) {
	for _, set := range sets {
		if shortest(set) > shortest(found) {
			found = set
		}
	}
	return found
}

func shortest(texts []string) int {
	n := 0
	for i, t := range texts {
		if i == 0 || len(t) < n {
			n = len(t)
		}
	}
	return n
}

// literal is a text that is found by its rarest byte: most libraries look for
// the first, which is as often a space or an e.
type literal struct {
	text []byte
	rare int // which byte of it is looked for
}

func newLiteral(text string) literal {
	l := literal{text: []byte(text)}
	for i := range text {
		if frequency(text[i]) < frequency(text[l.rare]) {
			l.rare = i
		}
	}
	return l
}

// common are the bytes of text and source code that are found most, the most
// frequent first.
const common = " etaonisrldcupmfhg\n\tb.y,_vw()kxS0T\"1E=CA-IR:;Nj"

// frequency is higher for what is found more often, roughly.
func frequency(c byte) int {
	if i := strings.IndexByte(common, c); i >= 0 {
		return 256 - i
	}
	return 0
}

// index returns where the literal is first; -1 if it is not there.
func (l literal) index(text []byte) int {
	misses := 0
	for at := l.rare; at < len(text); at++ {
		n := bytes.IndexByte(text[at:], l.text[l.rare])
		if n < 0 {
			return -1
		}
		at += n
		start := at - l.rare
		if len(text)-start < len(l.text) {
			return -1
		}
		if bytes.Equal(text[start:start+len(l.text)], l.text) {
			return start
		}
		// Not so rare here.
		if misses++; misses > 8+at/16 {
			rest := start + 1
			if n := bytes.Index(text[rest:], l.text); n >= 0 {
				return rest + n
			}
			return -1
		}
	}
	return -1
}
