package main

import (
	"fmt"
	"io"
	"iter"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cairn-storage/cairn/client"
)

// collect returns all items, or the first error.
func collect[T any](items iter.Seq2[T, error]) ([]T, error) { return firstN(items, -1) }

// firstN returns the first n items; all if n is negative.
func firstN[T any](items iter.Seq2[T, error], n int) ([]T, error) {
	found := []T{}
	if n == 0 {
		return found, nil
	}
	for item, err := range items {
		if err != nil {
			return nil, err
		}
		if found = append(found, item); len(found) == n {
			break
		}
	}
	return found, nil
}

func newLog() *cobra.Command {
	var a access
	var p place
	var number int
	var oneline bool
	cmd := &cobra.Command{
		Use:   "log REPO [PATH]",
		Short: "Show a history, the newest commit first",
		Args:  cobra.RangeArgs(1, 2),
		RunE: a.run(func(cmd *cobra.Command, repo *client.Repo, args []string) error {
			q := client.LogQuery{Ref: p.ref, Ephemeral: p.ephemeral, At: p.at.Time}
			if len(args) > 0 {
				q.Path = args[0]
			}
			commits, err := firstN(repo.Log(cmd.Context(), q), number)
			if err != nil {
				return err
			}
			return a.show(cmd, commits, func(w io.Writer) { printLog(w, commits, oneline) })
		}),
	}
	cmd.Flags().IntVarP(&number, "number", "n", 20, "how many commits; -1 is all")
	cmd.Flags().BoolVar(&oneline, "oneline", false, "one line for each")
	return p.bindPast(a.bind(cmd))
}

func printLog(w io.Writer, commits []client.Commit, oneline bool) {
	for i, c := range commits {
		if oneline {
			fmt.Fprintf(w, "%s %s\n", short(c.SHA), firstLine(c.Message))
			continue
		}
		if i > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "commit %s\n", c.SHA)
		if len(c.Parents) > 1 {
			shorts := make([]string, len(c.Parents))
			for i, p := range c.Parents {
				shorts[i] = short(p)
			}
			fmt.Fprintf(w, "Merge:  %s\n", strings.Join(shorts, " "))
		}
		fmt.Fprintf(w, "Author: %s <%s>\nDate:   %s\n\n", plain(c.AuthorName), plain(c.AuthorEmail), date(c.Date))
		for line := range strings.SplitSeq(plain(c.Message), "\n") {
			fmt.Fprintln(w, strings.TrimRight("    "+line, " "))
		}
	}
}

func newDiff() *cobra.Command {
	var a access
	var base string
	var stat, ignoreBlanks bool
	cmd := &cobra.Command{
		Use:   "diff REPO REVISION [PATH]...",
		Short: "Show what a commit changed, or what it has that --base has not",
		Long:  "Show what a commit changed against its first parent, or, with --base, against where\nits history parts from the base. The output is a patch that git apply takes, but\nfor binary, very large and lock files, which are named on the error output; give\nthem as PATH to see them.",
		Args:  cobra.MinimumNArgs(2),
		RunE: a.run(func(cmd *cobra.Command, repo *client.Repo, args []string) error {
			diff, err := repo.Diff(cmd.Context(), client.DiffQuery{Ref: args[0], Base: base, Paths: args[1:], Exact: !ignoreBlanks})
			if err != nil {
				return err
			}
			return a.show(cmd, diff, func(w io.Writer) { printDiff(w, cmd.ErrOrStderr(), diff, stat) })
		}),
	}
	cmd.Flags().StringVar(&base, "base", "", "branch, tag or commit to compare with")
	cmd.Flags().BoolVar(&stat, "stat", false, "only count")
	cmd.Flags().BoolVarP(&ignoreBlanks, "ignore-space-change", "b", false, "without changes in the amount of blanks")
	return a.bind(cmd)
}

func printDiff(w, aside io.Writer, diff client.Diff, stat bool) {
	if stat {
		rows := [][]string{}
		for _, f := range append(diff.Files, diff.Filtered...) {
			rows = append(rows, []string{f.State, fmt.Sprintf("+%d -%d", f.Additions, f.Deletions), plain(f.Path)})
		}
		table(w, "STATE LINES PATH", rows)
		fmt.Fprintf(w, "%d files, %d additions, %d deletions\n", diff.Stats.Files, diff.Stats.Additions, diff.Stats.Deletions)
		return
	}
	for _, f := range diff.Files {
		fmt.Fprint(w, f.Patch)
	}
	for _, f := range diff.Filtered {
		fmt.Fprintf(aside, "%s %s is not shown\n", f.State, plain(f.Path))
	}
}

func newEvents() *cobra.Command {
	var a access
	var q client.EventsQuery
	var since moment
	var follow bool
	var number int
	cmd := &cobra.Command{
		Use:   "events REPO",
		Short: "Show what happened to the refs, and what happens",
		Args:  cobra.ExactArgs(1),
		RunE: a.run(func(cmd *cobra.Command, repo *client.Repo, _ []string) error {
			q.Since = since.Time
			if follow {
				if !cmd.Flags().Changed("number") {
					number = -1
				}
				return a.follow(cmd, repo, q, number)
			}
			q.NewestFirst = true
			events, err := firstN(repo.Events(cmd.Context(), q), number)
			if err != nil {
				return err
			}
			return a.show(cmd, events, func(w io.Writer) {
				for _, e := range events {
					printEvent(w, e)
				}
			})
		}),
	}
	flags := cmd.Flags()
	flags.BoolVarP(&follow, "follow", "f", false, "go on with what happens, the newest last; with --json, a line for each")
	flags.IntVarP(&number, "number", "n", 20, "how many events, the newest first; -1 is all; with --follow: end after so many")
	flags.StringVar(&q.RefPrefix, "ref-prefix", "", "only refs that begin so, such as refs/heads/")
	flags.Var(&since, "since", "only what happened since then, such as 2026-01-31T15:04:05Z")
	flags.StringVar(&q.After, "after", "", "with --follow: go on after this cursor")
	return a.bind(cmd)
}

// follow prints events as they happen, until there were so many; without an
// end if the number is negative.
func (a *access) follow(cmd *cobra.Command, repo *client.Repo, q client.EventsQuery, number int) error {
	if number == 0 {
		return nil
	}
	for e, err := range repo.Follow(cmd.Context(), q) {
		if err != nil {
			return err
		}
		if !a.json {
			printEvent(cmd.OutOrStdout(), e)
		} else if err := printLine(cmd.OutOrStdout(), e); err != nil {
			return err
		}
		if number--; number == 0 {
			return nil
		}
	}
	return nil
}

func printEvent(w io.Writer, e client.Event) {
	ref := plain(e.Ref)
	if e.Ephemeral {
		ref += " (ephemeral)"
	}
	fmt.Fprintf(w, "%s  %-6s  %s..%s  %s  %s\n", date(e.At), e.Action, short(e.Old), short(e.New), ref, plain(e.Actor))
}
