package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cairn-storage/cairn/client"
)

// repositories is what the commands about repositories share. One is named
// ORG/NAME, or NAME beside --org.
type repositories struct {
	operator
	org string
}

func newRepo() *cobra.Command {
	r := new(repositories)
	cmd := r.bind(group("repo", "Repositories", r.create(), r.list(), r.showOne(), r.delete(), r.fork(), r.imports(), r.export(), newRepoDeleted(), newRepoRestore(), newRepoPurge()))
	cmd.PersistentFlags().StringVar(&r.org, "org", "", "organization; without it, names begin with theirs: ORG/NAME")
	return cmd
}

// split parts a repository's name on the command line.
func (r *repositories) split(arg string) (org, name string, err error) { return splitName(r.org, arg) }

// splitName does so beside the value of --org.
func splitName(given, arg string) (org, name string, err error) {
	if given != "" {
		return given, arg, nil
	}
	org, name, ok := strings.Cut(arg, "/")
	if !ok || org == "" || name == "" {
		return "", "", usageError{fmt.Errorf("%q is not ORG/NAME; or give the organization with --org", arg)}
	}
	return org, name, nil
}

func (r *repositories) create() *cobra.Command {
	var branch string
	cmd := &cobra.Command{
		Use:   "create ORG/NAME",
		Short: "Create an empty repository",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			org, name, err := r.split(args[0])
			if err != nil {
				return err
			}
			return r.make(cmd, org, client.NewRepository{Name: name, DefaultBranch: branch})
		},
	}
	cmd.Flags().StringVar(&branch, "default-branch", "main", "branch that HEAD names")
	return cmd
}

func (r *repositories) fork() *cobra.Command {
	var branch, ref, sha string
	cmd := &cobra.Command{
		Use:   "fork ORG/SOURCE NAME",
		Short: "Create a repository that begins where another one is now",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			org, source, err := r.split(args[0])
			if err != nil {
				return err
			}
			return r.make(cmd, org, client.NewRepository{
				Name:          strings.TrimPrefix(args[1], org+"/"),
				DefaultBranch: branch,
				ForkOf:        &client.ForkOf{Name: source, Ref: ref, SHA: sha},
			})
		},
	}
	cmd.Flags().StringVar(&branch, "default-branch", "", "branch that HEAD names (default: the source's)")
	cmd.Flags().StringVar(&ref, "ref", "", "branch or tag; the fork then has one branch there")
	cmd.Flags().StringVar(&sha, "sha", "", "commit; wins over --ref")
	return cmd
}

func (r *repositories) make(cmd *cobra.Command, org string, in client.NewRepository) error {
	c, err := r.open()
	if err != nil {
		return err
	}
	made, err := c.CreateRepository(cmd.Context(), org, in)
	if err != nil {
		return err
	}
	return r.output.show(cmd, made, func(w io.Writer) {
		fmt.Fprintf(w, "repository %s created in %s\n", made.Name, org)
	})
}

// at is a connection to the server, and the repository that an argument names.
func (r *repositories) at(arg string) (c *client.Operator, org, name string, err error) {
	if org, name, err = r.split(arg); err != nil {
		return nil, "", "", err
	}
	c, err = r.open()
	return c, org, name, err
}

func (r *repositories) list() *cobra.Command {
	var text string
	cmd := &cobra.Command{
		Use:   "list ORG",
		Short: "List an organization's repositories",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			org := r.org
			if len(args) == 1 {
				org = args[0]
			}
			if org == "" {
				return usageError{fmt.Errorf("the organization is missing: cairn repo list ORG")}
			}
			c, err := r.open()
			if err != nil {
				return err
			}
			all := []client.Repository{}
			rows := [][]string{}
			for repo, err := range c.Repositories(cmd.Context(), org, text) {
				if err != nil {
					return err
				}
				all = append(all, repo)
				rows = append(rows, []string{repo.Name, repo.DefaultBranch, date(repo.CreatedAt)})
			}
			return r.output.show(cmd, all, func(w io.Writer) { table(w, "NAME BRANCH CREATED", rows) })
		},
	}
	cmd.Flags().StringVar(&text, "query", "", "only names that contain this, whatever the case")
	return cmd
}

func (r *repositories) showOne() *cobra.Command {
	return &cobra.Command{
		Use:   "show ORG/NAME",
		Short: "Show a repository",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, org, name, err := r.at(args[0])
			if err != nil {
				return err
			}
			found, err := c.Repository(cmd.Context(), org, name)
			if err != nil {
				return err
			}
			return r.output.show(cmd, found, func(w io.Writer) {
				fmt.Fprintf(w, "name            %s\nid              %s\ndefault branch  %s\ncreated         %s\nversion         %d\nclone           %s/%s.git\n",
					found.Name, found.ID, found.DefaultBranch, date(found.CreatedAt), found.Version, r.server, found.Name)
			})
		},
	}
}

func (r *repositories) delete() *cobra.Command {
	return &cobra.Command{
		Use:   "delete ORG/NAME",
		Short: "Delete a repository",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, org, name, err := r.at(args[0])
			if err != nil {
				return err
			}
			if err := c.DeleteRepository(cmd.Context(), org, name); err != nil {
				return err
			}
			return r.output.show(cmd, struct{}{}, func(w io.Writer) {
				fmt.Fprintf(w, "repository %s of %s deleted\n", name, org)
			})
		},
	}
}
