package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/cairn-storage/cairn/client"
)

// The commands about what was deleted, for as long as the server keeps it. They
// stand in groups of others; those of repositories have credentials of their
// own, as the operator's token is no token for a repository.

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
