package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/cairn-storage/cairn/client"
)

// The commands about what was deleted, for as long as the server keeps it. They
// stand in groups of others; those of repositories have credentials of their
// own, as the operator's token is no token for a repository.

// moment is a flag with a time.
type moment struct{ time.Time }

// momentForms are how a time may be written: as the API has it, and, in the
// local zone, as tables show it.
var momentForms = []string{time.RFC3339, time.DateTime, time.DateOnly}

// Set reads the flag.
func (m *moment) Set(text string) error {
	for _, form := range momentForms {
		if t, err := time.ParseInLocation(form, text, time.Local); err == nil {
			m.Time = t
			return nil
		}
	}
	return fmt.Errorf("not a time such as 2026-01-31T15:04:05Z or, in the local zone, 2026-01-31 15:04:05")
}

// String is the default that the help shows: none.
func (m *moment) String() string { return "" }

// Type names the flag's value in the help.
func (m *moment) Type() string { return "time" }

func newRepoDeleted() *cobra.Command {
	var a access
	cmd := &cobra.Command{
		Use:   "deleted [ORG]",
		Short: "List the repositories that can be brought back",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				a.org = args[0]
			}
			if _, err := a.repo(""); err != nil { // of the organization
				return err
			}
			found, err := collect(a.client.DeletedRepositories(cmd.Context()))
			if err != nil {
				return err
			}
			return a.show(cmd, found, func(w io.Writer) {
				rows := make([][]string, len(found))
				for i, r := range found {
					rows[i] = []string{plain(r.Name), r.ID, date(r.DeletedAt), date(r.PurgeAt)}
				}
				table(w, "NAME ID DELETED PURGED", rows)
			})
		},
	}
	return a.bind(cmd)
}

func newRepoRestore() *cobra.Command {
	var a access
	var id string
	cmd := &cobra.Command{
		Use:   "restore REPO",
		Short: "Bring a deleted repository back, as it was",
		Args:  cobra.ExactArgs(1),
		RunE: a.run(func(cmd *cobra.Command, repo *client.Repo, _ []string) error {
			found, err := repo.Restore(cmd.Context(), id)
			if err != nil {
				return err
			}
			return a.show(cmd, found, func(w io.Writer) { fmt.Fprintf(w, "repository %s is back\n", found.Name) })
		}),
	}
	cmd.Flags().StringVar(&id, "id", "", "which of several of that name (default: the one deleted last)")
	return a.bind(cmd)
}

func (a *access) restoreBranch() *cobra.Command {
	var ephemeral bool
	var head string
	cmd := &cobra.Command{
		Use:   "restore REPO NAME",
		Short: "Bring a deleted branch back",
		Args:  cobra.ExactArgs(2),
		RunE: a.run(func(cmd *cobra.Command, repo *client.Repo, args []string) error {
			sha, err := repo.RestoreBranch(cmd.Context(), args[0], ephemeral, head)
			if err != nil {
				return err
			}
			return a.show(cmd, map[string]string{"name": args[0], "head_sha": sha}, func(w io.Writer) {
				fmt.Fprintf(w, "%s is back at %s\n", args[0], short(sha))
			})
		}),
	}
	cmd.Flags().BoolVar(&ephemeral, "ephemeral", false, "an ephemeral one")
	cmd.Flags().StringVar(&head, "head", "", "the one that was deleted at that commit (default: the last)")
	return cmd
}

func (a *access) deletedBranches() *cobra.Command {
	var ephemeral bool
	cmd := &cobra.Command{
		Use:   "deleted REPO",
		Short: "List the branches that can be brought back, the last deleted first",
		Args:  cobra.ExactArgs(1),
		RunE: a.run(func(cmd *cobra.Command, repo *client.Repo, _ []string) error {
			found, err := collect(repo.DeletedBranches(cmd.Context(), ephemeral))
			if err != nil {
				return err
			}
			return a.show(cmd, found, func(w io.Writer) {
				rows := make([][]string, len(found))
				for i, b := range found {
					rows[i] = []string{plain(b.Name), b.Head, date(b.DeletedAt), plain(b.DeletedBy)}
				}
				table(w, "NAME COMMIT DELETED BY", rows)
			})
		}),
	}
	cmd.Flags().BoolVar(&ephemeral, "ephemeral", false, "the ephemeral ones")
	return cmd
}

func newRepoPurge() *cobra.Command {
	var a access
	var id string
	var sure bool
	cmd := &cobra.Command{
		Use:   "purge REPO --yes",
		Short: "Remove what is kept, at once and for good",
		Long:  "Remove what is kept, at once and for good: of a living repository its past, of a name\nthat is free all deleted repositories of it.",
		Args:  cobra.ExactArgs(1),
		RunE: a.run(func(cmd *cobra.Command, repo *client.Repo, _ []string) error {
			if !sure {
				return usageError{fmt.Errorf("there is no way back from a purge of %s: give --yes to do it", repo.Name())}
			}
			if err := repo.Purge(cmd.Context(), id); err != nil {
				return err
			}
			return a.done(cmd, "what was kept of %s is removed", repo.Name())
		}),
	}
	cmd.Flags().StringVar(&id, "id", "", "only that deleted repository of the name")
	cmd.Flags().BoolVar(&sure, "yes", false, "do it")
	return a.bind(cmd)
}
