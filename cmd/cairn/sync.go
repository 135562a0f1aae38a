package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cairn-storage/cairn/client"
)

func newSync() *cobra.Command {
	var a access
	pull := &cobra.Command{
		Use:   "pull REPO",
		Short: "Have the server fetch from the upstream",
		Long:  "Have the server fetch from the repository's upstream. It is done in the background.",
		Args:  cobra.ExactArgs(1),
		RunE: a.run(func(cmd *cobra.Command, repo *client.Repo, _ []string) error {
			if err := repo.PullUpstream(cmd.Context()); err != nil {
				return err
			}
			return a.done(cmd, "the server fetches from the upstream of %s", repo.Name())
		}),
	}
	detach := &cobra.Command{
		Use:   "detach REPO",
		Short: "End that a repository follows its upstream; what was fetched stays",
		Args:  cobra.ExactArgs(1),
		RunE: a.run(func(cmd *cobra.Command, repo *client.Repo, _ []string) error {
			if err := repo.Detach(cmd.Context()); err != nil {
				return err
			}
			return a.done(cmd, "%s follows no upstream", repo.Name())
		}),
	}
	return a.bind(group("sync", "The upstream that a repository follows", a.syncCreate(), pull, detach,
		group("credential", "The credential with which the server fetches", a.credentialSet(), a.credentialDelete())))
}

func (a *access) syncCreate() *cobra.Command {
	var u client.Upstream
	cmd := &cobra.Command{
		Use:   "create REPO PROVIDER OWNER/NAME",
		Short: "Create a repository that follows one elsewhere",
		Long:  "Create a repository that follows one elsewhere. PROVIDER is github, gitlab, bitbucket,\ngitea, forgejo, codeberg or sr.ht.",
		Args:  cobra.ExactArgs(3),
		RunE: a.run(func(cmd *cobra.Command, repo *client.Repo, args []string) error {
			slash := strings.LastIndexByte(args[1], '/')
			if slash <= 0 || slash == len(args[1])-1 {
				return usageError{fmt.Errorf("%q is not OWNER/NAME", args[1])}
			}
			u.Provider, u.Owner, u.Name = args[0], args[1][:slash], args[1][slash+1:]
			made, err := a.client.CreateRepository(cmd.Context(), client.NewRepository{Name: repo.Name(), Upstream: &u})
			if err != nil {
				return err
			}
			return a.show(cmd, made, func(w io.Writer) {
				fmt.Fprintf(w, "repository %s created; it follows %s/%s\n", made.Name, u.Owner, u.Name)
			})
		}),
	}
	cmd.Flags().StringVar(&u.Host, "host", "", "host of the upstream, where the provider has many")
	cmd.Flags().StringVar(&u.DefaultBranch, "default-branch", "", "branch that HEAD names")
	cmd.Flags().BoolVar(&u.Public, "public", false, "it needs no credential (github)")
	return cmd
}

func (a *access) credentialSet() *cobra.Command {
	var username, id string
	cmd := &cobra.Command{
		Use:   "set REPO",
		Short: "Store a password or token; it is read from standard input",
		Long:  "Store the password or token with which the server fetches from the upstream. It is\nread from standard input, so that no other user of this machine sees it, encrypted\nby the server, and never shown again. --id replaces one.",
		Args:  cobra.ExactArgs(1),
		RunE: a.run(func(cmd *cobra.Command, repo *client.Repo, _ []string) error {
			text, err := io.ReadAll(io.LimitReader(os.Stdin, maxInput))
			if err != nil {
				return err
			}
			password := strings.TrimRight(string(text), "\r\n")
			var made client.Credential
			if id == "" {
				made, err = repo.CreateCredential(cmd.Context(), username, password)
			} else {
				made, err = repo.UpdateCredential(cmd.Context(), id, username, password)
			}
			if err != nil {
				return err
			}
			return a.show(cmd, made, func(w io.Writer) { fmt.Fprintf(w, "credential %s stored for %s\n", made.ID, repo.Name()) })
		}),
	}
	cmd.Flags().StringVar(&username, "username", "", "user name, where the upstream wants one")
	cmd.Flags().StringVar(&id, "id", "", "credential to replace")
	return cmd
}

func (a *access) credentialDelete() *cobra.Command {
	return &cobra.Command{
		Use:   "delete REPO ID",
		Short: "Delete the credential",
		Args:  cobra.ExactArgs(2),
		RunE: a.run(func(cmd *cobra.Command, repo *client.Repo, args []string) error {
			if err := repo.DeleteCredential(cmd.Context(), args[0]); err != nil {
				return err
			}
			return a.done(cmd, "credential %s deleted", args[0])
		}),
	}
}
