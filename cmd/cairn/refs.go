package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cairn-storage/cairn/client"
)

func newBranch() *cobra.Command {
	var a access
	return a.bind(group("branch", "Branches of a repository", a.branchList(), a.branchCreate(), a.branchDelete(), a.deletedBranches(), a.restoreBranch()))
}

func (a *access) branchList() *cobra.Command {
	var ephemeral bool
	cmd := &cobra.Command{
		Use:   "list REPO",
		Short: "List branches in the order of their creation",
		Args:  cobra.ExactArgs(1),
		RunE: a.run(func(cmd *cobra.Command, repo *client.Repo, _ []string) error {
			branches, err := collect(repo.Branches(cmd.Context(), ephemeral))
			if err != nil {
				return err
			}
			return a.show(cmd, branches, func(w io.Writer) {
				rows := make([][]string, len(branches))
				for i, b := range branches {
					rows[i] = []string{plain(b.Name), b.Head, date(b.CreatedAt)}
				}
				table(w, "NAME COMMIT CREATED", rows)
			})
		}),
	}
	cmd.Flags().BoolVar(&ephemeral, "ephemeral", false, "the ephemeral ones")
	return cmd
}

func (a *access) branchCreate() *cobra.Command {
	var in client.NewBranch
	cmd := &cobra.Command{
		Use:   "create REPO NAME [BASE]",
		Short: "Create a branch at a revision, or move it there",
		Args:  cobra.RangeArgs(2, 3),
		RunE: a.run(func(cmd *cobra.Command, repo *client.Repo, args []string) error {
			in.Name, in.Base = args[0], "HEAD"
			if len(args) > 1 {
				in.Base = args[1]
			}
			sha, err := repo.CreateBranch(cmd.Context(), in)
			if err != nil {
				return err
			}
			return a.show(cmd, map[string]string{"name": in.Name, "head_sha": sha}, func(w io.Writer) {
				fmt.Fprintf(w, "%s is at %s\n", in.Name, short(sha))
			})
		}),
	}
	cmd.Flags().BoolVar(&in.Force, "force", false, "move an existing branch also where that is no fast-forward")
	cmd.Flags().BoolVar(&in.Ephemeral, "ephemeral", false, "an ephemeral branch")
	cmd.Flags().BoolVar(&in.BaseEphemeral, "ephemeral-base", false, "the base is an ephemeral branch: with a normal name, promote it")
	return cmd
}

func (a *access) branchDelete() *cobra.Command {
	var ephemeral bool
	cmd := &cobra.Command{
		Use:   "delete REPO NAME",
		Short: "Delete a branch",
		Args:  cobra.ExactArgs(2),
		RunE: a.run(func(cmd *cobra.Command, repo *client.Repo, args []string) error {
			if err := repo.DeleteBranch(cmd.Context(), args[0], ephemeral); err != nil {
				return err
			}
			return a.done(cmd, "branch %s deleted", args[0])
		}),
	}
	cmd.Flags().BoolVar(&ephemeral, "ephemeral", false, "an ephemeral one")
	return cmd
}

// done says what was done, to people alone.
func (a *access) done(cmd *cobra.Command, format string, args ...any) error {
	return a.show(cmd, struct{}{}, func(w io.Writer) { fmt.Fprintf(w, format+"\n", args...) })
}

func newTag() *cobra.Command {
	var a access
	list := &cobra.Command{
		Use:   "list REPO",
		Short: "List tags by name",
		Args:  cobra.ExactArgs(1),
		RunE: a.run(func(cmd *cobra.Command, repo *client.Repo, _ []string) error {
			tags, err := collect(repo.Tags(cmd.Context()))
			if err != nil {
				return err
			}
			return a.show(cmd, tags, func(w io.Writer) {
				rows := make([][]string, len(tags))
				for i, t := range tags {
					rows[i] = []string{plain(t.Name), t.SHA}
				}
				table(w, "NAME COMMIT", rows)
			})
		}),
	}
	create := &cobra.Command{
		Use:   "create REPO NAME [REVISION]",
		Short: "Create a tag",
		Args:  cobra.RangeArgs(2, 3),
		RunE: a.run(func(cmd *cobra.Command, repo *client.Repo, args []string) error {
			revision := "HEAD"
			if len(args) > 1 {
				revision = args[1]
			}
			made, err := repo.CreateTag(cmd.Context(), args[0], revision)
			if err != nil {
				return err
			}
			return a.show(cmd, made, func(w io.Writer) { fmt.Fprintf(w, "%s is %s\n", made.Name, short(made.SHA)) })
		}),
	}
	remove := &cobra.Command{
		Use:   "delete REPO NAME",
		Short: "Delete a tag",
		Args:  cobra.ExactArgs(2),
		RunE: a.run(func(cmd *cobra.Command, repo *client.Repo, args []string) error {
			if err := repo.DeleteTag(cmd.Context(), args[0]); err != nil {
				return err
			}
			return a.done(cmd, "tag %s deleted", args[0])
		}),
	}
	return a.bind(group("tag", "Tags of a repository", list, create, remove))
}

func newNote() *cobra.Command {
	var a access
	var ref string
	show := &cobra.Command{
		Use:   "show REPO REVISION",
		Short: "Print the note on a commit",
		Args:  cobra.ExactArgs(2),
		RunE: a.run(func(cmd *cobra.Command, repo *client.Repo, args []string) error {
			found, err := repo.Note(cmd.Context(), args[0], ref)
			if err != nil {
				return err
			}
			return a.show(cmd, found, func(w io.Writer) { fmt.Fprintln(w, strings.TrimRight(plain(found.Text), "\n")) })
		}),
	}
	refs := &cobra.Command{
		Use:   "refs REPO",
		Short: "List the refs with notes",
		Args:  cobra.ExactArgs(1),
		RunE: a.run(func(cmd *cobra.Command, repo *client.Repo, _ []string) error {
			found, err := collect(repo.NotesRefs(cmd.Context(), ref))
			if err != nil {
				return err
			}
			return a.show(cmd, found, func(w io.Writer) {
				rows := make([][]string, len(found))
				for i, r := range found {
					rows[i] = []string{plain(r.Ref), r.SHA}
				}
				table(w, "REF COMMIT", rows)
			})
		}),
	}
	cmd := group("note", "Notes on commits", show, a.noteWrite("add", &ref, (*client.Repo).AddNote), a.noteWrite("append", &ref, (*client.Repo).AppendNote),
		a.noteWrite("remove", &ref, (*client.Repo).RemoveNote), refs)
	cmd.PersistentFlags().StringVar(&ref, "notes-ref", "", "ref with the notes, such as reviews (default: refs/notes/commits)")
	return a.bind(cmd)
}

// noteWriter is a method of client.Repo that changes a note.
type noteWriter func(*client.Repo, context.Context, client.NewNote) (client.NoteResult, error)

// noteWrite is the command for one way to change a note.
func (a *access) noteWrite(verb string, ref *string, write noteWriter) *cobra.Command {
	var s authorship
	var in client.NewNote
	uses := map[string][2]string{
		"add":    {"add REPO REVISION -m TEXT", "Write a note on a commit that has none"},
		"append": {"append REPO REVISION -m TEXT", "Add to the note on a commit"},
		"remove": {"remove REPO REVISION", "Remove the note on a commit"},
	}
	cmd := &cobra.Command{
		Use:   uses[verb][0],
		Short: uses[verb][1],
		Args:  cobra.ExactArgs(2),
		RunE: a.run(func(cmd *cobra.Command, repo *client.Repo, args []string) error {
			who, err := s.signature(cmd)
			if err != nil {
				return err
			}
			in.Object, in.Ref, in.Author = args[0], *ref, &who
			if in.Text == "-" {
				text, err := io.ReadAll(io.LimitReader(os.Stdin, maxInput))
				if err != nil {
					return err
				}
				in.Text = string(text)
			}
			made, err := write(repo, cmd.Context(), in)
			if err != nil {
				return err
			}
			return a.show(cmd, made, func(w io.Writer) { fmt.Fprintf(w, "%s is now at %s\n", made.Ref, short(made.New)) })
		}),
	}
	if verb != "remove" {
		cmd.Flags().StringVarP(&in.Text, "message", "m", "", "text of the note; - is standard input (required)")
		_ = cmd.MarkFlagRequired("message")
	}
	cmd.Flags().StringVar(&in.ExpectedRef, "expect", "", "commit that the notes ref must be at, else nothing is done")
	s.bind(cmd)
	return cmd
}
