package git

import "testing"

func TestCheckGitmodules(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, text string
		ok         bool
	}{
		{"plain", "[submodule \"lib\"]\n\tpath = lib\n\turl = https://example.com/lib.git\n", true},
		{"relative url", "[submodule \"lib\"]\n\turl = ../lib.git\n", true},
		{"ssh url", "[submodule \"lib\"]\n\turl = git@example.com:lib.git\n", true},
		{"empty", "", true},
		{"no config at all", "\x00\xff nonsense", true},
		{"other section", "[core]\n\turl = -x\n", true},
		{"name leaves the folder", "[submodule \"../../hooks\"]\n\turl = x\n", false},
		{"name with backslashes", "[submodule \"a\\\\..\\\\b\"]\n\turl = x\n", false},
		{"empty name", "[submodule \"\"]\n\turl = x\n", false},
		{"url is an option", "[submodule \"a\"]\n\turl = --upload-pack=touch\n", false},
		{"quoted url is an option", "[submodule \"a\"]\n\turl = \"-u./x\"\n", false},
		{"url with an encoded line feed", "[submodule \"a\"]\n\turl = https://example.com/%0ahost=evil\n", false},
		{"url climbs into the host", "[submodule \"a\"]\n\turl = ../../../../:host\n", false},
		{"url without a host", "[submodule \"a\"]\n\turl = http:///x\n", false},
		{"path is an option", "[submodule \"a\"]\n\tpath = -x\n", false},
		{"path ends in a carriage return", "[submodule \"a\"]\n\tpath = \"x\r\"\n", false},
		{"update is a command", "[submodule \"a\"]\n\tupdate = !rm -rf x\n", false},
		{"case and blanks", "[SubModule \"a\"] URL=-x", false},
		{"continued line", "[submodule \"a\"]\nurl = \\\n-x\n", false},
		{"dotted section", "[submodule.a]\nurl = -x\n", false},
		{"after a comment", "# x\n; y\n[submodule \"a\"]\nurl = -x # y\n", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			err := CheckGitmodules([]byte(test.text))
			if got := err == nil; got != test.ok {
				t.Errorf("CheckGitmodules = %v, want ok %v", err, test.ok)
			}
		})
	}
}

func FuzzCheckGitmodules(f *testing.F) {
	f.Add([]byte("[submodule \"lib\"]\n\tpath = \"l\\tib\" ; x\n\turl = ../lib.git\\\n\n"))
	f.Add([]byte("[a.b]\nc"))
	f.Fuzz(func(t *testing.T, data []byte) { _ = CheckGitmodules(data) })
}
