package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cairn-storage/cairn/client"
)

func (r *repositories) imports() *cobra.Command {
	var existing bool
	cmd := &cobra.Command{
		Use:   "import ORG/NAME SOURCE",
		Short: "Create a repository from another Git repository",
		Long:  "Create a repository with all branches, tags and notes of SOURCE, which is anything\nthat git clone takes: a directory or an address. It needs git.",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, org, name, err := r.at(args[0])
			if err != nil {
				return err
			}
			mirror, err := os.MkdirTemp("", "cairn-import-")
			if err != nil {
				return err
			}
			defer os.RemoveAll(mirror)
			if err := git(cmd.Context(), nil, "clone", "--mirror", "--", args[1], mirror); err != nil {
				return err
			}
			if err := r.receive(cmd.Context(), c, org, name, mirror, existing); err != nil {
				return err
			}
			found, err := c.Repository(cmd.Context(), org, name)
			if err != nil {
				return err
			}
			return r.output.show(cmd, found, func(w io.Writer) {
				fmt.Fprintf(w, "repository %s of %s imported\n", name, org)
			})
		},
	}
	cmd.Flags().BoolVar(&existing, "existing", false, "import into a repository that exists")
	return cmd
}

// receive pushes a mirror into a repository. One that it made and could not
// fill it removes again.
func (r *repositories) receive(ctx context.Context, c *client.Operator, org, name, mirror string, existing bool) error {
	head, err := gitOutput(ctx, "--git-dir", mirror, "symbolic-ref", "--quiet", "HEAD")
	branch, isBranch := strings.CutPrefix(strings.TrimSpace(head), "refs/heads/")
	if err != nil || !isBranch {
		branch = "main"
	}
	_, err = c.CreateRepository(ctx, org, client.NewRepository{Name: name, DefaultBranch: branch})
	var refused *client.Error
	made := err == nil
	switch {
	case errors.As(err, &refused) && refused.Status == http.StatusConflict && existing:
	case errors.As(err, &refused) && refused.Status == http.StatusConflict:
		return fmt.Errorf("%w; --existing imports into it", err)
	case err != nil:
		return err
	}
	err = git(ctx, r.gitConfig(), "--git-dir", mirror, "push", "--", r.remote(org, name, "+import"),
		"+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*", "+refs/notes/*:refs/notes/*")
	if err != nil && made {
		err = errors.Join(err, c.DeleteRepository(context.WithoutCancel(ctx), org, name))
	}
	return err
}

func (r *repositories) export() *cobra.Command {
	return &cobra.Command{
		Use:   "export ORG/NAME DIR",
		Short: "Write a repository with all its refs to a bare Git repository",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, org, name, err := r.at(args[0])
			if err != nil {
				return err
			}
			if _, err := c.Repository(cmd.Context(), org, name); err != nil {
				return err
			}
			path, err := filepath.Abs(args[1])
			if err != nil {
				return err
			}
			if err := git(cmd.Context(), r.gitConfig(), "clone", "--mirror", "--", r.remote(org, name, ""), path); err != nil {
				return err
			}
			return r.output.show(cmd, map[string]string{"path": path}, func(w io.Writer) {
				fmt.Fprintf(w, "repository %s of %s is in %s\n", name, org, path)
			})
		},
	}
}

// remote is a repository's address for the operator.
func (r *repositories) remote(org, name, kind string) string {
	segments := strings.Split(name, "/")
	for i, s := range segments {
		segments[i] = url.PathEscape(s)
	}
	return r.server + "/" + url.PathEscape(org) + "/" + strings.Join(segments, "/") + kind + ".git"
}

// gitConfig is the configuration with which git speaks to the server. It goes
// through the environment: arguments can be read by every user of the machine.
func (r *repositories) gitConfig() map[string]string {
	credential := base64.StdEncoding.EncodeToString([]byte("admin:" + r.adminToken))
	config := map[string]string{
		"http." + r.server + "/.extraHeader": "Authorization: Basic " + credential,
		"http.followRedirects":               "false",
		"credential.helper":                  "",
	}
	if r.caCert != "" {
		if path, err := filepath.Abs(r.caCert); err == nil {
			config["http.sslCAInfo"] = path
		}
	}
	return config
}

// git runs stock git; what it says goes to the terminal.
func git(ctx context.Context, config map[string]string, args ...string) error {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Env = append(os.Environ(), "GIT_TERMINAL_PROMPT=0")
	if config != nil {
		n := 0
		for key, value := range config {
			cmd.Env = append(cmd.Env, "GIT_CONFIG_KEY_"+strconv.Itoa(n)+"="+key, "GIT_CONFIG_VALUE_"+strconv.Itoa(n)+"="+value)
			n++
		}
		cmd.Env = append(cmd.Env, "GIT_CONFIG_COUNT="+strconv.Itoa(n))
	}
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("git %s: %w", verb(args), err)
	}
	return nil
}

func gitOutput(ctx context.Context, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, "git", args...).Output()
	return string(out), err
}

// verb is git's command among its arguments.
func verb(args []string) string {
	if args[0] == "--git-dir" {
		return args[2]
	}
	return args[0]
}
