// Package starter holds the texts that a new repository may begin with: what
// Git is to ignore in projects of a kind, and licenses. Its rule is that a text
// is given out as its source has it. The gitignores are those of
// github.com/github/gitignore (CC0-1.0), the licenses those of the SPDX license
// list; see docs/decisions for why.
package starter

import (
	"embed"
	"io/fs"
	"strings"
)

//go:embed gitignores licenses
var texts embed.FS

// Gitignore returns the text for a kind of project, by its exact name.
func Gitignore(name string) (string, bool) { return read("gitignores/", name, ".gitignore") }

// License returns the text of a license, by its exact name.
func License(name string) (string, bool) { return read("licenses/", name, ".txt") }

// Gitignores returns the names that Gitignore knows, sorted.
func Gitignores() []string { return names("gitignores", ".gitignore") }

// Licenses returns the names that License knows, sorted.
func Licenses() []string { return names("licenses", ".txt") }

func read(folder, name, suffix string) (string, bool) {
	if strings.ContainsAny(name, `/\`) {
		return "", false
	}
	text, err := fs.ReadFile(texts, folder+name+suffix)
	return string(text), err == nil
}

func names(folder, suffix string) []string {
	entries, err := fs.ReadDir(texts, folder)
	if err != nil {
		panic(err) // it is part of the program
	}
	list := make([]string, len(entries))
	for i, e := range entries {
		list[i] = strings.TrimSuffix(e.Name(), suffix)
	}
	return list
}
