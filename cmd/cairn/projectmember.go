package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/cairn-storage/cairn/client"
)

func (o *operator) projectMember(org *string) *cobra.Command {
	return group("member", "Members of a project, whom new repositories may take over",
		o.projectMemberAdd(org), o.projectMemberList(org), o.projectMemberRemove(org))
}

func (o *operator) projectMemberAdd(org *string) *cobra.Command {
	var role string
	cmd := &cobra.Command{
		Use:   "add --org NAME PROJECT USER --role ROLE",
		Short: "Make a user a member of the project of an id, or change their role",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.open()
			if err != nil {
				return err
			}
			member := client.ProjectMember{Name: args[1], Role: role}
			if err := c.SetProjectMember(cmd.Context(), *org, args[0], member); err != nil {
				return err
			}
			return o.show(cmd, member, func(w io.Writer) { fmt.Fprintf(w, "user %s may %s\n", member.Name, member.Role) })
		},
	}
	cmd.Flags().StringVar(&role, "role", "read", "read, write or admin")
	return cmd
}

func (o *operator) projectMemberList(org *string) *cobra.Command {
	return &cobra.Command{
		Use:   "list --org NAME PROJECT",
		Short: "List the members of the project of an id",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.open()
			if err != nil {
				return err
			}
			members, err := c.ProjectMembers(cmd.Context(), *org, args[0])
			if err != nil {
				return err
			}
			return o.show(cmd, members, func(w io.Writer) {
				rows := make([][]string, len(members))
				for i, m := range members {
					rows[i] = []string{m.Name, m.Role}
				}
				table(w, "NAME ROLE", rows)
			})
		},
	}
}

func (o *operator) projectMemberRemove(org *string) *cobra.Command {
	return &cobra.Command{
		Use:   "remove --org NAME PROJECT USER",
		Short: "Take a user out of the project of an id; repositories that took them over keep them",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.open()
			if err != nil {
				return err
			}
			if err := c.RemoveProjectMember(cmd.Context(), *org, args[0], args[1]); err != nil {
				return err
			}
			return o.show(cmd, struct{}{}, func(w io.Writer) { fmt.Fprintf(w, "user %s is no member any more\n", args[1]) })
		},
	}
}
