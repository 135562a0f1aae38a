package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/cairn-storage/cairn/client"
)

// operator is what the commands for operators share.
type operator struct {
	connection
	output
}

func (o *operator) bind(cmd *cobra.Command) *cobra.Command {
	o.connection.bind(cmd)
	o.output.bind(cmd)
	return cmd
}

func newOrg() *cobra.Command {
	o := new(operator)
	return o.bind(group("org", "Organizations: the tenants of a server", o.orgCreate(), o.orgList(), o.orgDelete()))
}

func (o *operator) orgCreate() *cobra.Command {
	return &cobra.Command{
		Use:   "create NAME",
		Short: "Create an organization",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.open()
			if err != nil {
				return err
			}
			made, err := c.CreateOrganization(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return o.show(cmd, made, func(w io.Writer) {
				fmt.Fprintf(w, "organization %s created\n", made.Name)
			})
		},
	}
}

func (o *operator) orgList() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List organizations",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := o.open()
			if err != nil {
				return err
			}
			all := []client.Organization{}
			rows := [][]string{}
			for org, err := range c.Organizations(cmd.Context()) {
				if err != nil {
					return err
				}
				all = append(all, org)
				rows = append(rows, []string{org.Name, org.ID, date(org.CreatedAt)})
			}
			return o.show(cmd, all, func(w io.Writer) { table(w, "NAME ID CREATED", rows) })
		},
	}
}

func (o *operator) orgDelete() *cobra.Command {
	return &cobra.Command{
		Use:   "delete NAME",
		Short: "Delete an organization that has no repositories",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.open()
			if err != nil {
				return err
			}
			if err := c.DeleteOrganization(cmd.Context(), args[0]); err != nil {
				return err
			}
			return o.show(cmd, struct{}{}, func(w io.Writer) {
				fmt.Fprintf(w, "organization %s deleted\n", args[0])
			})
		},
	}
}
