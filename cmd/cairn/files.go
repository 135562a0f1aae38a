package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/cairn-storage/cairn/client"
)

// place is where to read: flags that several commands have.
type place struct {
	ref       string
	ephemeral bool
	at        moment
}

func (p *place) bind(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().StringVar(&p.ref, "ref", "", "branch, tag or commit (default: the default branch)")
	cmd.Flags().BoolVar(&p.ephemeral, "ephemeral", false, "look the branch up among the ephemeral ones")
	return cmd
}

// bindPast defines the flag of the commands that can read the past, too.
func (p *place) bindPast(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().Var(&p.at, "at", "the branch as it was then, such as 2026-01-31T15:04:05Z")
	return p.bind(cmd)
}

func newList() *cobra.Command {
	var a access
	var p place
	var recursive, long bool
	cmd := &cobra.Command{
		Use:   "ls REPO [PATH]",
		Short: "List files",
		Args:  cobra.RangeArgs(1, 2),
		RunE: a.run(func(cmd *cobra.Command, repo *client.Repo, args []string) error {
			q := client.ListQuery{Ref: p.ref, Ephemeral: p.ephemeral, At: p.at.Time, Shallow: !recursive}
			if len(args) > 0 {
				q.Path = args[0]
			}
			if long {
				return a.listLong(cmd, repo, q)
			}
			entries, err := collect(repo.List(cmd.Context(), q))
			if err != nil {
				return err
			}
			return a.show(cmd, entries, func(w io.Writer) {
				for _, e := range entries {
					name := plain(e.Path)
					if e.Type == "tree" {
						name += "/"
					}
					fmt.Fprintln(w, name)
				}
			})
		}),
	}
	cmd.Flags().BoolVarP(&recursive, "recursive", "r", false, "all files below, not one folder")
	cmd.Flags().BoolVarP(&long, "long", "l", false, "with size and the commit that changed each file last; recursive")
	return p.bindPast(a.bind(cmd))
}

func (a *access) listLong(cmd *cobra.Command, repo *client.Repo, q client.ListQuery) error {
	files, err := collect(repo.ListInfo(cmd.Context(), q))
	if err != nil {
		return err
	}
	return a.show(cmd, files, func(w io.Writer) {
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		for _, f := range files {
			fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%s\n", f.Mode, f.Size, date(f.LastCommit.Date), short(f.LastCommit.SHA), plain(f.Path))
		}
		t.Flush()
	})
}

func newCat() *cobra.Command {
	var a access
	var p place
	cmd := &cobra.Command{
		Use:   "cat REPO PATH...",
		Short: "Print files",
		Args:  cobra.MinimumNArgs(2),
		RunE: a.run(func(cmd *cobra.Command, repo *client.Repo, args []string) error {
			for _, path := range args {
				f, err := repo.Open(cmd.Context(), client.FileQuery{Path: path, Ref: p.ref, Ephemeral: p.ephemeral, At: p.at.Time})
				if err != nil {
					return err
				}
				_, err = io.Copy(cmd.OutOrStdout(), f)
				if err = errors.Join(err, f.Close()); err != nil {
					return fmt.Errorf("%s: %w", path, err)
				}
			}
			return nil
		}),
	}
	a.bind(cmd)
	_ = cmd.PersistentFlags().MarkHidden("json") // a file is what it is
	return p.bindPast(cmd)
}

func newGrep() *cobra.Command {
	var a access
	var p place
	var q client.GrepQuery
	var around int
	cmd := &cobra.Command{
		Use:   "grep REPO PATTERN [PATH]...",
		Short: "Search files for a regular expression",
		Long:  "Search files for a regular expression (RE2). It ends with status 1 if there is no match.",
		Args:  cobra.MinimumNArgs(2),
		RunE: a.run(func(cmd *cobra.Command, repo *client.Repo, args []string) error {
			q.Pattern, q.Paths, q.Ref, q.Ephemeral = args[0], args[1:], p.ref, p.ephemeral
			q.Before, q.After = max(q.Before, around), max(q.After, around)
			found, err := collect(repo.Grep(cmd.Context(), q))
			if err != nil {
				return err
			}
			if err := a.show(cmd, found, func(w io.Writer) { printMatches(w, found) }); err != nil {
				return err
			}
			if len(found) == 0 {
				return errNoMatch
			}
			return nil
		}),
	}
	flags := cmd.Flags()
	flags.BoolVarP(&q.IgnoreCase, "ignore-case", "i", false, "whatever the case")
	flags.StringSliceVar(&q.Include, "include", nil, "only files that match a glob, such as '**/*.go'; may be repeated")
	flags.StringSliceVar(&q.Exclude, "exclude", nil, "not files that match a glob; may be repeated")
	flags.IntVarP(&q.Before, "before", "B", 0, "lines of context before")
	flags.IntVarP(&q.After, "after", "A", 0, "lines of context after")
	flags.IntVarP(&around, "context", "C", 0, "lines of context before and after")
	return p.bind(a.bind(cmd))
}

// errNoMatch ends grep with status 1, silently.
var errNoMatch = errors.New("no match")

func printMatches(w io.Writer, found []client.GrepMatch) {
	for _, m := range found {
		for _, l := range m.Lines {
			mark := ":"
			if l.Type != "match" {
				mark = "-"
			}
			fmt.Fprintf(w, "%s%s%d%s%s\n", plain(m.Path), mark, l.Number, mark, plain(l.Text))
		}
	}
}

func newBlame() *cobra.Command {
	var a access
	var p place
	var q client.BlameQuery
	cmd := &cobra.Command{
		Use:   "blame REPO PATH",
		Short: "Show which commit each line of a file is from",
		Args:  cobra.ExactArgs(2),
		RunE: a.run(func(cmd *cobra.Command, repo *client.Repo, args []string) error {
			q.Path, q.Ref, q.Ephemeral = args[0], p.ref, p.ephemeral
			lines, err := repo.Blame(cmd.Context(), q)
			if err != nil {
				return err
			}
			if a.json {
				return a.show(cmd, lines, nil)
			}
			at := p.ref
			if len(lines) == 0 {
				return nil
			}
			text, err := repo.Read(cmd.Context(), client.FileQuery{Path: q.Path, Ref: at, Ephemeral: p.ephemeral})
			if err != nil {
				return err
			}
			return printBlame(cmd.OutOrStdout(), lines, strings.Split(string(text), "\n"))
		}),
	}
	cmd.Flags().StringArrayVarP(&q.Ranges, "lines", "L", nil, "only these lines, as git blame -L takes them; may be repeated")
	cmd.Flags().BoolVarP(&q.Moves, "moves", "M", false, "look for lines that were moved or copied")
	return p.bind(a.bind(cmd))
}

func printBlame(w io.Writer, lines []client.BlameLine, text []string) error {
	t := tabwriter.NewWriter(w, 0, 0, 1, ' ', tabwriter.FilterHTML)
	for _, l := range lines {
		content := ""
		if l.Line <= len(text) {
			content = text[l.Line-1]
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%d)\t", short(l.SHA), plain(l.AuthorName), l.AuthorTime.Format("2006-01-02"), l.Line)
		fmt.Fprintf(t, "%s\n", strings.ReplaceAll(plain(content), "\t", "    "))
	}
	return t.Flush()
}

func newArchive() *cobra.Command {
	var a access
	var q client.ArchiveQuery
	var out string
	cmd := &cobra.Command{
		Use:   "archive REPO",
		Short: "Write the files as a tar.gz",
		Args:  cobra.ExactArgs(1),
		RunE: a.run(func(cmd *cobra.Command, repo *client.Repo, _ []string) error {
			if out == "" {
				out = path.Base(repo.Name()) + ".tar.gz"
			}
			archive, err := repo.Archive(cmd.Context(), q)
			if err != nil {
				return err
			}
			defer archive.Close()
			if out == "-" {
				_, err = io.Copy(cmd.OutOrStdout(), archive)
				return err
			}
			written, err := download(out, archive)
			if err != nil {
				return err
			}
			return a.show(cmd, map[string]any{"path": out, "bytes": written}, func(w io.Writer) {
				fmt.Fprintf(w, "%s: %s\n", out, size(written))
			})
		}),
	}
	flags := cmd.Flags()
	flags.StringVar(&q.Ref, "ref", "", "branch, tag or commit (default: the default branch)")
	flags.StringVarP(&out, "output", "o", "", "file to write; - is standard output (default: NAME.tar.gz)")
	flags.StringVar(&q.Prefix, "prefix", "", "folder that everything is in")
	flags.StringSliceVar(&q.Include, "include", nil, "only files that match a glob; may be repeated")
	flags.StringSliceVar(&q.Exclude, "exclude", nil, "not files that match a glob; may be repeated")
	flags.Int64Var(&q.MaxFileSize, "max-file-size", 0, "leave out files of more bytes")
	return a.bind(cmd)
}

// download writes a file, whole or not at all, and shows how far it is.
func download(to string, from io.Reader) (int64, error) {
	temporary := to + ".part"
	f, err := os.Create(temporary)
	if err != nil {
		return 0, err
	}
	bar := newProgress()
	n, err := io.Copy(f, &meter{from, func(n int64) { bar.show("%s", size(n)) }, 0})
	bar.end()
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(temporary, to)
	}
	if err != nil {
		return n, errors.Join(err, os.Remove(temporary))
	}
	return n, nil
}

// meter tells how much was read.
type meter struct {
	io.Reader
	tell func(int64)
	all  int64
}

// Read counts.
func (m *meter) Read(p []byte) (int, error) {
	n, err := m.Reader.Read(p)
	m.all += int64(n)
	m.tell(m.all)
	return n, err
}

// size is a number of bytes as people read it.
func size(n int64) string {
	if n < 1<<10 {
		return strconv.FormatInt(n, 10) + " B"
	}
	value, unit := float64(n), -1
	for value >= 1<<10 && unit < 3 {
		value /= 1 << 10
		unit++
	}
	return fmt.Sprintf("%.1f %ciB", value, "KMGT"[unit])
}
