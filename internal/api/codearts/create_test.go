package codearts

import "testing"

// The names that the service lists, as far as its page is known.
var gitignoresOfTheService = []string{
	"Actionscript", "Ada", "Agda", "Android", "Ansible", "AppEngine", "C#", "C++", "C", "CMake", "CUDA", "Clojure", "D", "Dart", "Elixir", "Elm", "Erlang",
	"Fortran", "GPG", "Go", "Godot", "Gradle", "Haskell", "Java", "JavaScript", "JetBrains", "Julia", "KiCad", "Kotlin", "Laravel", "Lua", "Maven", "Node",
	"Objective-C", "Perl", "PureScript", "Python", "Qt", "R", "Rails", "Ruby", "Rust", "Scala", "Scheme", "Smalltalk", "Swift", "TeX", "Terraform",
}

func TestEveryStarterHasItsText(t *testing.T) {
	t.Parallel()
	for _, name := range gitignoresOfTheService {
		files, err := newRepository{GitignoreID: name}.files()
		if err != nil || len(files) != 1 || files[0].Path != ".gitignore" || files[0].Text == "" {
			t.Errorf("%s: got %d files, %v", name, len(files), err)
		}
	}
	for id := range licenses {
		files, err := newRepository{LicenseID: id}.files()
		if err != nil || len(files) != 1 || len(files[0].Text) < 500 {
			t.Errorf("license %d: got %v, %v", id, files, err)
		}
	}
}
