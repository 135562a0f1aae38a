package main

import (
	"crypto"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cairn-storage/cairn/client"
)

// minting says what goes into a token.
type minting struct {
	org, key, subject string
	scopes            []string
	policy            []string
	ttl               string
}

// bind defines the flags, with variables of the environment for what stays the
// same from call to call.
func (m *minting) bind(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&m.org, "org", os.Getenv("CAIRN_ORG"), "organization whose key signs (CAIRN_ORG)")
	flags.StringVar(&m.key, "key", os.Getenv("CAIRN_KEY_FILE"), "file with the organization's private key (CAIRN_KEY_FILE)")
	flags.StringVar(&m.subject, "name", "cairn token", "who holds the token, for logs")
	flags.StringSliceVar(&m.scopes, "scope", []string{"git:read", "git:write"}, "git:read, git:write, repo:write, org:read")
	flags.StringArrayVar(&m.policy, "ref-policy", nil, "PATTERN=OPERATION,...: what to forbid (no-push, no-force-push, verify-sig); may be repeated, the first match decides")
	flags.StringVar(&m.ttl, "ttl", "1h", "time until the token expires, such as 15m, 12h or 365d")
}

var knownScopes = []string{"git:read", "git:write", "repo:write", "org:read"}

// claims checks the flags; mistakes show here instead of in a refusal later.
func (m *minting) claims() (client.Claims, error) {
	if m.org == "" {
		return client.Claims{}, usageError{fmt.Errorf("--org or CAIRN_ORG is required")}
	}
	ttl, err := parseTTL(m.ttl)
	if err != nil {
		return client.Claims{}, usageError{err}
	}
	for _, scope := range m.scopes {
		if !slices.Contains(knownScopes, scope) {
			return client.Claims{}, usageError{fmt.Errorf("there is no scope %q; there are %s", scope, strings.Join(knownScopes, ", "))}
		}
	}
	policy, err := parsePolicy(m.policy)
	if err != nil {
		return client.Claims{}, usageError{err}
	}
	return client.Claims{Organization: m.org, Subject: m.subject, Scopes: m.scopes, TTL: ttl, Policy: policy}, nil
}

func (m *minting) signer() (crypto.Signer, error) {
	if m.key == "" {
		return nil, usageError{fmt.Errorf("--key or CAIRN_KEY_FILE is required; cairn key create makes a key")}
	}
	text, err := readInput(m.key)
	if err != nil {
		return nil, err
	}
	key, err := client.ParsePrivateKey(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", m.key, err)
	}
	return key, nil
}

// sign makes a token for a repository; an empty name makes one for calls about
// the whole organization.
func (m *minting) sign(repo string) (string, client.Claims, error) {
	claims, err := m.claims()
	if err != nil {
		return "", claims, err
	}
	key, err := m.signer()
	if err != nil {
		return "", claims, err
	}
	claims.Repository = repo
	token, err := client.SignToken(key, claims)
	return token, claims, err
}

func newToken() *cobra.Command {
	var m minting
	var repo string
	cmd := &cobra.Command{
		Use:   "token --org NAME --key FILE [--repo NAME]",
		Short: "Sign a token and print it",
		Long:  "Sign a token with an organization's private key and print it. No server is asked.\nPrograms send it as a bearer token; Git takes it as the password of any user.\nWithout --repo the token is good for organization-wide calls alone.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			token, _, err := m.sign(repo)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), token)
			return err
		},
	}
	m.bind(cmd)
	cmd.Flags().StringVar(&repo, "repo", "", "the only repository that the token is for")
	return cmd
}

// parseTTL reads a duration, also in days.
func parseTTL(text string) (time.Duration, error) {
	ttl, err := time.ParseDuration(text)
	if days, ok := strings.CutSuffix(text, "d"); ok {
		var n int
		n, err = strconv.Atoi(days)
		if n > 100*366 {
			n = 0
		}
		ttl = time.Duration(n) * 24 * time.Hour
	}
	if err != nil || ttl < time.Second {
		return 0, fmt.Errorf("--ttl %q is not a time such as 15m, 12h or 365d", text)
	}
	return ttl, nil
}

// parsePolicy reads rules written PATTERN=OPERATION,...
func parsePolicy(texts []string) ([]client.RefRule, error) {
	var policy []client.RefRule
	for _, text := range texts {
		pattern, operations, ok := strings.Cut(text, "=")
		if !ok || pattern == "" {
			return nil, fmt.Errorf("--ref-policy %q is not like refs/heads/main=no-push", text)
		}
		rule := client.RefRule{Pattern: pattern}
		for operation := range strings.SplitSeq(operations, ",") {
			switch operation {
			case "":
			case "no-push", "no-force-push", "verify-sig":
				rule.Operations = append(rule.Operations, operation)
			default:
				return nil, fmt.Errorf("--ref-policy %q: there is no operation %q; there are no-push, no-force-push, verify-sig", text, operation)
			}
		}
		policy = append(policy, rule)
	}
	return policy, nil
}
