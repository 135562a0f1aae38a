package grep

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
)

// slowLines is the plain way.
func slowLines(t *testing.T, pattern string, sensitive bool, text string, o Options) (out []string) {
	t.Helper()
	if !sensitive {
		pattern = "(?i:" + pattern + ")"
	}
	re := regexp.MustCompile(pattern)
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if text == "" {
		return nil
	}
	kind := make([]string, len(lines))
	matches := 0
	for i, l := range lines {
		if matches < o.MaxMatches && re.MatchString(l) {
			matches++
			for j := max(0, i-o.Before); j <= min(len(lines)-1, i+o.After); j++ {
				if kind[j] == "" {
					kind[j] = "context"
				}
			}
			kind[i] = "match"
		}
	}
	for i, k := range kind {
		if k != "" && i+1 > o.SkipTo && len(out) < o.MaxLines {
			out = append(out, fmt.Sprint(i+1, k, lines[i]))
		}
	}
	return out
}

func shown(lines []Line) (out []string) {
	for _, l := range lines {
		out = append(out, fmt.Sprint(l.Number, map[bool]string{true: "match", false: "context"}[l.Match], string(l.Text)))
	}
	return out
}

func TestLines(t *testing.T) {
	t.Parallel()
	text := "package main\n\nfunc main() {\n\tTODO := 1\n\tx := \"Straße Kelvin\u212a\"\n}\n// fixme: later\n// todo FIXME\nlast line TODO"
	for _, pattern := range []string{"TODO", "TODO|FIXME", "main", "^}$", "x", "fu.c", "(?:TODO)+", "[a-z]+ := ", "kelvin", "kelvink", "last", `\s$`, "^", "nothing", "(a|b)c|TODO", `line\b`, "(?i)todo", "a\nb", `\x{212a}`, "func.*[a-z]+.*{", "// .*FIXME", "TODO .*TODO", "xx:|(TODO|last).*(:=|TODO)", "kelvin.*xx"} {
		for _, sensitive := range []bool{true, false} {
			for _, o := range []Options{{}, {Before: 1, After: 1}, {Before: 3}, {After: 2}, {MaxMatches: 1, After: 1}, {SkipTo: 4, Before: 2}, {MaxLines: 3, Before: 1}} {
				if o.MaxMatches == 0 {
					o.MaxMatches = 100
				}
				if o.MaxLines == 0 {
					o.MaxLines = 100
				}
				for _, in := range []string{text, text + "\n", "\n" + text, ""} {
					p, err := Compile(pattern, sensitive)
					if err != nil {
						t.Fatal(err)
					}
					got, want := shown(p.Lines([]byte(in), o)), slowLines(t, pattern, sensitive, in, o)
					if strings.Join(got, "|") != strings.Join(want, "|") {
						t.Errorf("%q, case %v, %+v:\n got %q\nwant %q", pattern, sensitive, o, got, want)
					}
				}
			}
		}
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	for _, pattern := range []string{"", "(", "[", `\1`, "(?=a)", strings.Repeat("a", MaxPattern+1), "(a{500}){10}", "(?:[a-z]{30}){30}[a-z]{999}[a-z]{999}"} {
		if _, err := Compile(pattern, true); err == nil {
			t.Errorf("%.40q is taken", pattern)
		}
	}
}

// TestPatternsAreLinear: security 60.
func TestPatternsAreLinear(t *testing.T) {
	t.Parallel()
	text := bytes.Repeat([]byte("a"), 256<<10)
	for _, pattern := range []string{"(a*)*b", "(a|a)*b", "(.*)(.*)(.*)(.*)(.*)[^a]", strings.Repeat("a?", 200) + strings.Repeat("a", 200) + "b"} {
		p, err := Compile(pattern, true)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if got := p.Lines(text, Options{MaxMatches: 1, MaxLines: 1}); len(got) > 0 {
			t.Errorf("%.20q matches", pattern)
		}
		if took := time.Since(began); took > 30*time.Second {
			t.Errorf("%.20q took %s", pattern, took)
		}
	}
}

// FuzzLines compares with the plain way.
func FuzzLines(f *testing.F) {
	f.Add("TODO|b", "a\nTODO\n", true)
	f.Fuzz(func(t *testing.T, pattern, text string, sensitive bool) {
		p, err := Compile(pattern, sensitive)
		if err != nil || strings.ContainsAny(pattern, "\n") {
			return
		}
		o := Options{Before: 1, After: 1, MaxMatches: 5, MaxLines: 10}
		got, want := shown(p.Lines([]byte(text), o)), slowLines(t, pattern, sensitive, text, o)
		if strings.Join(got, "|") != strings.Join(want, "|") {
			t.Errorf("%q in %q: got %q, want %q", pattern, text, got, want)
		}
	})
}
