// Command cairn is the server and everything with which people operate it.
// serve is the server; the other commands speak to a running one over its
// operator API, or need none. What they print is for people; --json makes it
// one for programs. The exit status tells the kind of a failure, see exit.go.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

func main() {
	os.Exit(run())
}

func run() int {
	root := newRoot()
	cmd, err := root.ExecuteContextC(context.Background())
	if err != nil && !errors.Is(err, errNoMatch) {
		fmt.Fprintln(os.Stderr, "cairn: "+describe(cmd, err))
	}
	return exitStatus(err)
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "cairn",
		Short:         "Git storage as an API",
		Long:          "cairn is Git storage as an API: one server in which programs create repositories,\ncommit, read, diff and fork them over HTTP, and any Git client clones and pushes them.",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())}
	})
	const operating, using = "operating", "using"
	root.AddGroup(&cobra.Group{ID: using, Title: "Using repositories, with a token or an organization's key:"},
		&cobra.Group{ID: operating, Title: "Operating a server, with its admin token:"})
	add := func(group string, commands ...*cobra.Command) {
		for _, cmd := range commands {
			cmd.GroupID = group
			root.AddCommand(cmd)
		}
	}
	add(using, newCommit(), newList(), newCat(), newLog(), newDiff(), newGrep(), newBlame(), newMerge(), newBranch(), newTag(),
		newNote(), newArchive(), newSync(), newWebhook(), newEvents())
	add(operating, newServe(), newOrg(), newKey(), newUser(), newAPIKey(), newAccessKey(), newProject(), newRepo(), newFsck(), newGC())
	root.AddCommand(newDemo(), newToken(), newCredentialHelper(), newVersion())
	checkArguments(root)
	return root
}

// checkArguments makes every complaint about arguments a usageError.
func checkArguments(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return usageError{fmt.Errorf("%w; usage: %s", err, cmd.UseLine())}
			}
			return nil
		}
	}
	for _, child := range cmd.Commands() {
		checkArguments(child)
	}
}

// group is a command that only holds others.
func group(use, short string, children ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
		return cmd.Help()
	}}
	cmd.AddCommand(children...)
	return cmd
}
