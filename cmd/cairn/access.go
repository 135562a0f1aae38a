package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/cairn-storage/cairn/client"
)

// access is what the commands that use repositories share: where the server is,
// and with which credential. A repository is named NAME beside --org or
// --token, else ORG/NAME.
type access struct {
	connection
	output
	token, org, key string
	client          *client.Client // after repo
}

func (a *access) bind(cmd *cobra.Command) *cobra.Command {
	a.bindServer(cmd)
	a.output.bind(cmd)
	flags := cmd.PersistentFlags()
	flags.StringVar(&a.token, "token", "", "a token for the repository (CAIRN_TOKEN)")
	flags.StringVar(&a.org, "org", "", "organization whose key signs tokens (CAIRN_ORG); without it, names begin with theirs: ORG/NAME")
	flags.StringVar(&a.key, "key", "", "file with the organization's private key (CAIRN_KEY_FILE)")
	return cmd
}

// repo returns the repository that an argument names, and connects to nothing
// yet.
func (a *access) repo(arg string) (*client.Repo, error) {
	a.locate()
	a.org = firstOf(a.org, os.Getenv("CAIRN_ORG"))
	a.key = firstOf(a.key, os.Getenv("CAIRN_KEY_FILE"))
	if a.token == "" && a.key == "" {
		a.token = os.Getenv("CAIRN_TOKEN") // a key is worth more than a token that may be for something else
	}
	h, err := a.httpClient()
	if err != nil {
		return nil, err
	}
	name, credential, err := a.credential(arg)
	if err != nil {
		return nil, err
	}
	a.client, err = client.New(a.server, credential, client.WithHTTPClient(h), client.WithUserAgent("cairn/"+version))
	if err != nil {
		return nil, usageError{err}
	}
	return a.client.Repo(name), nil
}

func (a *access) credential(arg string) (name string, credential client.Option, err error) {
	if a.token != "" {
		org, claimed := readClaims(a.token)
		if claimed != "" && arg == org+"/"+claimed {
			arg = claimed
		}
		return arg, client.WithToken(a.token), nil
	}
	if a.key == "" {
		return "", nil, usageError{fmt.Errorf("there is no credential: give --token or CAIRN_TOKEN, or --key and --org (CAIRN_KEY_FILE, CAIRN_ORG)")}
	}
	org, name, err := splitName(a.org, arg)
	if err != nil {
		return "", nil, err
	}
	text, err := readInput(a.key)
	if err != nil {
		return "", nil, usageError{fmt.Errorf("--key: %w", err)}
	}
	key, err := client.ParsePrivateKey(text)
	if err != nil {
		return "", nil, fmt.Errorf("%s: %w", a.key, err)
	}
	return name, client.WithKey(org, key), nil
}

// readClaims reads of a token whose it is and for what. The server verifies it.
func readClaims(token string) (org, repo string) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return "", ""
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return "", ""
	}
	var claims struct {
		Issuer string `json:"iss"`
		Repo   string `json:"repo"`
	}
	if json.Unmarshal(text, &claims) != nil {
		return "", ""
	}
	return claims.Issuer, claims.Repo
}

// run makes the function of a command whose first argument is a repository.
func (a *access) run(do func(cmd *cobra.Command, repo *client.Repo, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		repo, err := a.repo(args[0])
		if err != nil {
			return err
		}
		return do(cmd, repo, args[1:])
	}
}

// plain makes text from elsewhere harmless for a terminal: what would control
// it shows as a question mark.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return '?'
		}
		return r
	}, text)
}

// short is an id as people read it.
func short(id string) string { return id[:min(len(id), 10)] }

// firstLine is what a message is about.
func firstLine(message string) string {
	line, _, _ := strings.Cut(message, "\n")
	return plain(line)
}
