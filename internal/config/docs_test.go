package config

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the table of settings in the manual")

// The manual has the table of settings between these two lines.
const (
	manual     = "../../docs/operations.md"
	tableBegin = "<!-- settings: go test ./internal/config -update -->\n"
	tableEnd   = "<!-- end of settings -->\n"
)

// TestManualHasTheSettings holds the table in the manual to the struct.
func TestManualHasTheSettings(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(manual)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, begun := strings.Cut(string(data), tableBegin)
	got, after, ended := strings.Cut(rest, tableEnd)
	if !begun || !ended {
		t.Fatalf("%s lacks the lines %q and %q", manual, tableBegin, tableEnd)
	}
	want := settingsTable()
	if got == want {
		return
	}
	if !*update {
		t.Fatalf("the table of settings in %s is not that of the code; go test ./internal/config -update rewrites it\ngot:\n%s\nwant:\n%s", manual, got, want)
	}
	if err := os.WriteFile(manual, []byte(before+tableBegin+want+tableEnd+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

func settingsTable() string {
	var table strings.Builder
	table.WriteString("\n| flag | environment | default | meaning |\n|---|---|---|---|\n")
	c := Default()
	for _, s := range c.settings() {
		fallback := ""
		if s.fallback != "" {
			fallback = "`" + s.fallback + "`"
		}
		fmt.Fprintf(&table, "| `--%s` | `%s` | %s | %s |\n", s.name, s.variable(), fallback, strings.ReplaceAll(s.help, "|", `\|`))
	}
	table.WriteString("\n")
	return table.String()
}
