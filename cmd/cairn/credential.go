package main

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func newCredentialHelper() *cobra.Command {
	var m minting
	cmd := &cobra.Command{
		Use:   "credential-helper --org NAME --key FILE get|store|erase",
		Short: "Sign tokens for git as it needs them (git-credential helper)",
		Long: `Answer git's questions for a password with a token for the repository in question,
signed on the spot. Tell git once, for the server's address:

  git config --global credential.http://127.0.0.1:8080.useHttpPath true
  git config --global credential.http://127.0.0.1:8080.helper '!cairn credential-helper --org acme --key ~/acme.pem'`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if args[0] != "get" {
				return nil // there is nothing to store, and git may ask for what it likes
			}
			return m.answer(cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
	m.bind(cmd)
	return cmd
}

// answer speaks the protocol of gitcredentials(7).
func (m *minting) answer(in io.Reader, out io.Writer) error {
	question, err := readQuestion(in)
	if err != nil {
		return err
	}
	repo := repositoryOf(question["path"])
	if repo == "" {
		return fmt.Errorf("git does not say which repository it is about; set credential.%s://%s.useHttpPath to true", question["protocol"], question["host"])
	}
	token, claims, err := m.sign(repo)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "username=t\npassword=%s\npassword_expiry_utc=%d\n", token, time.Now().Add(claims.TTL).Unix())
	return err
}

func readQuestion(in io.Reader) (map[string]string, error) {
	question := make(map[string]string)
	scanner := bufio.NewScanner(io.LimitReader(in, maxInput))
	for scanner.Scan() && scanner.Text() != "" {
		if key, value, ok := strings.Cut(scanner.Text(), "="); ok {
			question[key] = value
		}
	}
	return question, scanner.Err()
}

// repositoryOf is the repository that a path is about, on whichever of its
// three remotes.
func repositoryOf(path string) string {
	path = strings.Trim(path, "/")
	if i := strings.Index(path+"/", ".git/"); i >= 0 {
		path = path[:i]
	}
	path = strings.TrimSuffix(path, "+ephemeral")
	return strings.TrimSuffix(path, "+import")
}
