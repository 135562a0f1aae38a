package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cairn-storage/cairn/client"
)

// maxPasswordInput bounds what is read of standard input for a password.
const maxPasswordInput = 4 << 10

func newUser() *cobra.Command {
	o := new(operator)
	return o.bind(group("user", "Users: who comes with a name and a password or a token", o.userCreate(), o.userList(), o.userDelete(), o.userToken()))
}

func (o *operator) userCreate() *cobra.Command {
	var in client.NewUser
	var fromInput bool
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Create a user, and the organization of the same name",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			in.Name = args[0]
			if fromInput {
				password, err := readPassword(cmd.InOrStdin())
				if err != nil {
					return err
				}
				in.Password = password
			}
			c, err := o.open()
			if err != nil {
				return err
			}
			made, err := c.CreateUser(cmd.Context(), in)
			if err != nil {
				return err
			}
			return o.show(cmd, made, func(w io.Writer) {
				fmt.Fprintf(w, "user %s created\n", made.Name)
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&in.Email, "email", "", "email address")
	flags.StringVar(&in.FullName, "full-name", "", "name for people")
	flags.BoolVar(&fromInput, "password-stdin", false, "read the password from standard input; without one the user comes in by tokens only")
	flags.BoolVar(&in.Admin, "admin", false, "let the user administer the server through the Gogs API")
	return cmd
}

// readPassword reads one line.
func readPassword(r io.Reader) (string, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxPasswordInput))
	if err != nil {
		return "", err
	}
	password := strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
	if password == "" || strings.ContainsAny(password, "\r\n") {
		return "", usageError{errors.New("--password-stdin: give the password as one line")}
	}
	return password, nil
}

func (o *operator) userList() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List users",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := o.open()
			if err != nil {
				return err
			}
			all := []client.User{}
			rows := [][]string{}
			for user, err := range c.Users(cmd.Context()) {
				if err != nil {
					return err
				}
				all = append(all, user)
				role := "-"
				if user.Admin {
					role = "admin"
				}
				rows = append(rows, []string{user.Name, firstOf(user.Email, "-"), role, date(user.CreatedAt)})
			}
			return o.show(cmd, all, func(w io.Writer) { table(w, "NAME EMAIL ROLE CREATED", rows) })
		},
	}
}

func (o *operator) userDelete() *cobra.Command {
	return &cobra.Command{
		Use:   "delete NAME",
		Short: "Delete a user who has no repositories",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.open()
			if err != nil {
				return err
			}
			if err := c.DeleteUser(cmd.Context(), args[0]); err != nil {
				return err
			}
			return o.show(cmd, struct{}{}, func(w io.Writer) {
				fmt.Fprintf(w, "user %s deleted\n", args[0])
			})
		},
	}
}

func (o *operator) userToken() *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use:   "token NAME",
		Short: "Make a token of a user and print it; it is shown this once",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.open()
			if err != nil {
				return err
			}
			if name == "" {
				name = "cairn user token " + time.Now().UTC().Format("2006-01-02T15:04:05.000000Z")
			}
			made, err := c.CreateUserToken(cmd.Context(), args[0], name)
			if err != nil {
				return err
			}
			return o.show(cmd, made, func(w io.Writer) { fmt.Fprintln(w, made.Token) })
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "what the token is called (default: the time)")
	return cmd
}
