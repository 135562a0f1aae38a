package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cairn-storage/cairn/client"
)

func newAccessKey() *cobra.Command {
	o := new(operator)
	cmd := o.bind(group("access-key", "Access keys with which programs sign requests to the CodeArts Repo API"))
	var org string
	cmd.PersistentFlags().StringVar(&org, "org", "", "organization (required)")
	_ = cmd.MarkPersistentFlagRequired("org")
	cmd.AddCommand(o.accessKeyCreate(&org), o.accessKeyList(&org), o.accessKeyRevoke(&org))
	return cmd
}

func (o *operator) accessKeyCreate(org *string) *cobra.Command {
	var in client.NewAccessKey
	cmd := &cobra.Command{
		Use:   "create --org NAME [--name TEXT] [--scope SCOPE,…] [--repo NAME]…",
		Short: "Make an access key and print its two halves, the secret once",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := o.open()
			if err != nil {
				return err
			}
			made, err := c.CreateAccessKey(cmd.Context(), *org, in)
			if err != nil {
				return err
			}
			return o.show(cmd, made, func(w io.Writer) {
				fmt.Fprintf(w, "AK %s\nSK %s\n", made.ID, made.Secret)
			})
		},
	}
	cmd.Flags().StringVar(&in.Name, "name", "", "who holds it; for listings and the event log")
	cmd.Flags().StringSliceVar(&in.Scopes, "scope", nil, "what it allows: git:read, git:write, repo:write, org:read; all by default")
	cmd.Flags().StringArrayVar(&in.Repositories, "repo", nil, "a repository that it is for; may be repeated; all by default")
	return cmd
}

func (o *operator) accessKeyList(org *string) *cobra.Command {
	return &cobra.Command{
		Use:   "list --org NAME",
		Short: "List an organization's access keys",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := o.open()
			if err != nil {
				return err
			}
			keys, err := c.AccessKeys(cmd.Context(), *org)
			if err != nil {
				return err
			}
			return o.show(cmd, keys, func(w io.Writer) {
				rows := make([][]string, len(keys))
				for i, k := range keys {
					state := "active"
					if k.RevokedAt != nil {
						state = "revoked " + date(*k.RevokedAt)
					}
					rows[i] = []string{k.ID, k.Name, strings.Join(k.Scopes, ","), date(k.CreatedAt), state}
				}
				table(w, "ID NAME SCOPES CREATED STATE", rows)
			})
		},
	}
}

func (o *operator) accessKeyRevoke(org *string) *cobra.Command {
	return &cobra.Command{
		Use:   "revoke --org NAME ID",
		Short: "Revoke an access key and with it all tokens that were made from it",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.open()
			if err != nil {
				return err
			}
			if err := c.RevokeAccessKey(cmd.Context(), *org, args[0]); err != nil {
				return err
			}
			return o.show(cmd, struct{}{}, func(w io.Writer) {
				fmt.Fprintf(w, "access key %s of %s revoked\n", args[0], *org)
			})
		},
	}
}

func newProject() *cobra.Command {
	o := new(operator)
	cmd := o.bind(group("project", "Projects: folders of repositories with an id, for the CodeArts Repo API"))
	var org string
	cmd.PersistentFlags().StringVar(&org, "org", "", "organization (required)")
	_ = cmd.MarkPersistentFlagRequired("org")
	cmd.AddCommand(o.projectCreate(&org), o.projectList(&org), o.projectMember(&org))
	return cmd
}

func (o *operator) projectCreate(org *string) *cobra.Command {
	return &cobra.Command{
		Use:   "create --org NAME NAME",
		Short: "Create a project and print its id",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.open()
			if err != nil {
				return err
			}
			made, err := c.CreateProject(cmd.Context(), *org, args[0])
			if err != nil {
				return err
			}
			return o.show(cmd, made, func(w io.Writer) { fmt.Fprintln(w, made.ID) })
		},
	}
}

func (o *operator) projectList(org *string) *cobra.Command {
	return &cobra.Command{
		Use:   "list --org NAME",
		Short: "List an organization's projects",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := o.open()
			if err != nil {
				return err
			}
			all := []client.Project{}
			rows := [][]string{}
			for p, err := range c.Projects(cmd.Context(), *org) {
				if err != nil {
					return err
				}
				all = append(all, p)
				rows = append(rows, []string{p.ID, p.Name, date(p.CreatedAt)})
			}
			return o.show(cmd, all, func(w io.Writer) { table(w, "ID NAME CREATED", rows) })
		},
	}
}
