package git_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/cairn-storage/cairn/internal/git"
)

func TestCheckGitmodulesAgreesWithFsck(t *testing.T) {
	t.Parallel()
	r, _ := scratch(t)
	random := rand.New(rand.NewPCG(15, 16))
	var samples []sample
	for range 700 {
		text := gitmodules(random)
		blob := sample{kind: git.BlobObject, data: text}
		tree := git.EncodeTree([]git.TreeEntry{{Mode: git.ModeFile, Name: ".gitmodules", ID: hashOf(t, git.BlobObject, []byte(text))}})
		samples = append(samples, blob, sample{kind: git.TreeObject, data: string(tree)})
	}
	verdicts := fsckVerdicts(t, r, samples)
	refused := 0
	for _, s := range samples {
		if s.kind != git.BlobObject {
			continue
		}
		want := verdicts[hashOf(t, s.kind, []byte(s.data))]
		got := git.CheckGitmodules([]byte(s.data))
		if (got == nil) != (want == "") && !holdsLineEnd(got) {
			t.Errorf("%q: got %v, git says %q", s.data, got, want)
		}
		if want != "" {
			refused++
		}
	}
	if refused < len(samples)/20 {
		t.Errorf("git refuses %d of %d: the samples are too alike", refused, len(samples)/2)
	}
}

// holdsLineEnd tells whether CheckGitmodules means to refuse what fsck accepts:
// line ends in all URLs, not in some, and in paths and names.
func holdsLineEnd(err error) bool {
	if err == nil {
		return false
	}
	for _, end := range []string{`\r`, `\n`, "%0a"} {
		if strings.Contains(err.Error(), end) {
			return true
		}
	}
	return false
}

// gitmodules makes a file that is well formed in most ways.
func gitmodules(r *rand.Rand) string {
	var b strings.Builder
	for range 1 + r.IntN(2) {
		b.WriteString(pick(r, `[submodule "a"]`, `[submodule "a"]`, `[submodule "a"]`, `[submodule]`, `[submodule.a]`, `[Submodule "../a"]`,
			`[submodule "a/../b"]`, `[submodule "..\\a"]`, `[submodule "a..b"]`, `[submodule ""]`, `[submodule	"x\"y"]`, `[core]`, `[submodule "a"`,
			`[submodule "."]`, `[submodule "a/.."]`, "[submodule \"a\nb\"]", `[submodule "a" ]`, `[ submodule "a"]`))
		b.WriteString(pick(r, "\n", "\n\t", " ", "\r\n", " # comment\n", ""))
		for range 1 + r.IntN(3) {
			b.WriteString(pick(r, "url", "url", "url", "URL", "path", "update", "other", "u-r-l", "url2", "-url", "url "))
			b.WriteString(pick(r, " = ", " = ", "=", "= ", " ", "\t=\t"))
			b.WriteString(pick(r, "https://example.com/a.git", "../a.git", "./a", "-x", `"-x"`, `\-x`, "./-x", "!cmd", "!", "http:///x", "https://", "http::http://a",
				"../../:x", "../x:y", "..//x", "./../:x", "ftp:///", "ssh://-host/x", "git@example.com:x", "https://a%0ab/c", "../a%0ab", "a%0ab", "a%0", "%00", "a b", "a # b",
				`"a # b"`, `"unclosed`, "a\\\n-b", "\\\n-b", `\t-x`, `"\n"x`, `"a\nb"`, "a\rb", "", `""`, `"x	"`, "x\r", "\"x\r\"", "https://host\\x/..", "http:/x", "http::x", "https::/x", "..\\..\\:x", "../..", "../."))
			b.WriteString(pick(r, "\n", "\n", "\r\n", "\n\t", ""))
		}
	}
	s := b.String()
	if r.IntN(3) == 0 {
		s = flip(r, s)
	}
	return s
}
