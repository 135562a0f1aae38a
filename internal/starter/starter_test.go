package starter

import (
	"strings"
	"testing"
)

func TestTexts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		names []string
		read  func(string) (string, bool)
		least int
	}{{Gitignores(), Gitignore, 150}, {Licenses(), License, 34}} {
		if len(c.names) < c.least {
			t.Errorf("there are %d texts", len(c.names))
		}
		for _, name := range c.names {
			if text, ok := c.read(name); !ok || len(strings.TrimSpace(text)) < 5 {
				t.Errorf("%q: %d bytes, %t", name, len(text), ok)
			}
		}
	}
	if text, _ := License("MIT License"); !strings.Contains(text, "Permission is hereby granted") {
		t.Errorf("MIT License: %s", text)
	}
	if text, _ := Gitignore("Go"); !strings.Contains(text, "*.test") {
		t.Errorf("Go: %s", text)
	}
}

// TestNamesAreNoPaths asks for texts by what leads elsewhere.
func TestNamesAreNoPaths(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", ".", "..", "../gitignores/Go", "../starter", `..\x`, "Go.gitignore", "go", "Go ", "Go\x00", "/etc/passwd"} {
		if _, ok := Gitignore(name); ok {
			t.Errorf("there is a text %q", name)
		}
		if _, ok := License(name); ok {
			t.Errorf("there is a license %q", name)
		}
	}
}
