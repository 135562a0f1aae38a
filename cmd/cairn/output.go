package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// output is how a command shows what it found.
type output struct {
	json bool
}

func (o *output) bind(cmd *cobra.Command) {
	cmd.PersistentFlags().BoolVar(&o.json, "json", false, "print JSON")
}

// show prints a value as JSON, or what the function writes.
func (o *output) show(cmd *cobra.Command, value any, people func(io.Writer)) error {
	if !o.json {
		people(cmd.OutOrStdout())
		return nil
	}
	enc := json.NewEncoder(cmd.OutOrStdout())
	enc.SetIndent("", "  ")
	return enc.Encode(value)
}

// printLine prints a value as one line of JSON.
func printLine(w io.Writer, value any) error { return json.NewEncoder(w).Encode(value) }

// table prints rows in columns.
func table(w io.Writer, header string, rows [][]string) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, strings.ReplaceAll(header, " ", "\t"))
	for _, row := range rows {
		fmt.Fprintln(t, strings.Join(row, "\t"))
	}
	t.Flush()
}

func date(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") }

// progress shows how far a long operation is, on a terminal only.
type progress struct {
	on    bool
	width int
}

func newProgress() *progress {
	return &progress{on: term.IsTerminal(int(os.Stderr.Fd()))}
}

func (p *progress) show(format string, args ...any) {
	if p.on {
		text := fmt.Sprintf(format, args...)
		fmt.Fprintf(os.Stderr, "\r%-*s", p.width, text)
		p.width = len(text)
	}
}

// end removes the line.
func (p *progress) end() {
	if p.on && p.width > 0 {
		fmt.Fprintf(os.Stderr, "\r%*s\r", p.width, "")
	}
}
