package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cairn-storage/cairn/client"
)

func newAPIKey() *cobra.Command {
	o := new(operator)
	cmd := o.bind(group("api-key", "API keys of an organization, for the Mesa API"))
	var org string
	cmd.PersistentFlags().StringVar(&org, "org", "", "organization (required)")
	_ = cmd.MarkPersistentFlagRequired("org")
	cmd.AddCommand(o.apiKeyCreate(&org), o.apiKeyList(&org), o.apiKeyRevoke(&org))
	return cmd
}

func (o *operator) apiKeyCreate(org *string) *cobra.Command {
	var in client.NewAPIKey
	var ttl time.Duration
	cmd := &cobra.Command{
		Use:   "create --org NAME [--scope read,write,admin] [--repo R]...",
		Short: "Make an API key and print it, once",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := o.open()
			if err != nil {
				return err
			}
			in.Life = int64(ttl / time.Second)
			made, err := c.CreateAPIKey(cmd.Context(), *org, in)
			if err != nil {
				return err
			}
			return o.show(cmd, made, func(w io.Writer) {
				fmt.Fprintf(os.Stderr, "key %s (%s) of %s; it is shown once:\n", made.ID, strings.Join(made.Scopes, ", "), *org)
				fmt.Fprintln(w, made.Key)
			})
		},
	}
	cmd.Flags().StringSliceVar(&in.Scopes, "scope", nil, "read, write, admin; each includes those before it (default read,write)")
	cmd.Flags().StringArrayVar(&in.Repositories, "repo", nil, "a repository that it is good for; without it, all")
	cmd.Flags().StringVar(&in.Name, "name", "", "what people know it by")
	cmd.Flags().DurationVar(&ttl, "ttl", 0, "how long it is good, from 100s to 8760h; without it, until it is revoked")
	return cmd
}

func (o *operator) apiKeyList(org *string) *cobra.Command {
	return &cobra.Command{
		Use:   "list --org NAME",
		Short: "List an organization's API keys",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := o.open()
			if err != nil {
				return err
			}
			keys := []client.APIKey{}
			for k, err := range c.APIKeys(cmd.Context(), *org) {
				if err != nil {
					return err
				}
				keys = append(keys, k)
			}
			return o.show(cmd, keys, func(w io.Writer) {
				rows := make([][]string, len(keys))
				for i, k := range keys {
					rows[i] = []string{k.ID, dash(k.Name), strings.Join(k.Scopes, ","), apiKeyReach(k), date(k.CreatedAt), apiKeyState(k)}
				}
				table(w, "ID NAME SCOPES REPOSITORIES CREATED STATE", rows)
			})
		},
	}
}

func dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func apiKeyReach(k client.APIKey) string {
	if k.RepositoryIDs == nil {
		return "all"
	}
	return fmt.Sprint(len(k.RepositoryIDs))
}

func apiKeyState(k client.APIKey) string {
	switch {
	case k.RevokedAt != nil:
		return "revoked " + date(*k.RevokedAt)
	case k.ExpiresAt != nil && k.ExpiresAt.Before(time.Now()):
		return "expired " + date(*k.ExpiresAt)
	case k.ExpiresAt != nil:
		return "until " + date(*k.ExpiresAt)
	}
	return "active"
}

func (o *operator) apiKeyRevoke(org *string) *cobra.Command {
	return &cobra.Command{
		Use:   "revoke --org NAME ID",
		Short: "Revoke an API key and with it all tokens that were made from it",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.open()
			if err != nil {
				return err
			}
			if err := c.RevokeAPIKey(cmd.Context(), *org, args[0]); err != nil {
				return err
			}
			return o.show(cmd, struct{}{}, func(w io.Writer) {
				fmt.Fprintf(w, "key %s of %s revoked\n", args[0], *org)
			})
		},
	}
}
