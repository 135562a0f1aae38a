package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/cairn-storage/cairn/client"
)

func newKey() *cobra.Command {
	o := new(operator)
	cmd := o.bind(group("key", "Keys with which an organization signs tokens"))
	var org string
	cmd.PersistentFlags().StringVar(&org, "org", "", "organization (required)")
	_ = cmd.MarkPersistentFlagRequired("org")
	cmd.AddCommand(o.keyCreate(&org), o.keyAdd(&org), o.keyList(&org), o.keyRevoke(&org))
	return cmd
}

func (o *operator) keyCreate(org *string) *cobra.Command {
	var out string
	var mesa bool
	cmd := &cobra.Command{
		Use:   "create --org NAME [--out FILE] [--mesa]",
		Short: "Make a key pair: register the public half, write the private one",
		Long:  "Make an ES256 key pair: register the public half with the server and write the\nprivate half (PKCS#8 in PEM, as the SDKs take it) to a file, or print it. The\nserver never sees the private half. With --mesa it is an Ed25519 pair, and the\nprivate half has the form that the newer Mesa SDKs take.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := o.open()
			if err != nil {
				return err
			}
			private, public, err := generateKey(*org, mesa)
			if err != nil {
				return err
			}
			if out != "" {
				if err := writeNew(out, private); err != nil {
					return err
				}
			}
			key, err := c.AddKey(cmd.Context(), *org, string(public))
			if err != nil {
				if out != "" {
					err = errors.Join(err, os.Remove(out))
				}
				return err
			}
			return o.showNewKey(cmd, *org, key, out, private)
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "file for the private key; without it, it is printed")
	cmd.Flags().BoolVar(&mesa, "mesa", false, "make a key for the newer Mesa SDKs (MESA_PRIVATE_KEY)")
	return cmd
}

func generateKey(org string, mesa bool) (private, public []byte, err error) {
	if !mesa {
		return client.GenerateKey()
	}
	text, public, err := client.GenerateMesaKey(org)
	return []byte(text + "\n"), public, err
}

func (o *operator) showNewKey(cmd *cobra.Command, org string, key client.Key, out string, private []byte) error {
	shown := struct {
		client.Key
		PrivateKey string `json:"private_key,omitempty"`
		File       string `json:"private_key_file,omitempty"`
	}{Key: key, File: out}
	if out == "" {
		shown.PrivateKey = string(private)
	}
	return o.show(cmd, shown, func(w io.Writer) {
		if out == "" {
			fmt.Fprintf(os.Stderr, "key %s registered for %s; this is its private half, shown once:\n", key.ID, org)
			fmt.Fprintf(w, "%s", private)
			return
		}
		fmt.Fprintf(w, "key %s registered for %s; its private half is in %s\n", key.ID, org, out)
	})
}

// writeNew writes a secret to a file that must not exist.
func writeNew(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return usageError{fmt.Errorf("%s exists already; choose another file", path)}
	} else if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}

func (o *operator) keyAdd(org *string) *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "add --org NAME --public FILE",
		Short: "Register a public key (PKIX in PEM: EC P-256, RSA or Ed25519)",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			text, err := readInput(path)
			if err != nil {
				return err
			}
			c, err := o.open()
			if err != nil {
				return err
			}
			key, err := c.AddKey(cmd.Context(), *org, string(text))
			if err != nil {
				return err
			}
			return o.show(cmd, key, func(w io.Writer) {
				fmt.Fprintf(w, "key %s (%s) registered for %s\n", key.ID, key.Algorithm, *org)
			})
		},
	}
	cmd.Flags().StringVar(&path, "public", "", "file with the public key; - is standard input (required)")
	_ = cmd.MarkFlagRequired("public")
	return cmd
}

// maxInput bounds what is read of a key file.
const maxInput = 1 << 20

func readInput(path string) ([]byte, error) {
	if path == "-" {
		return io.ReadAll(io.LimitReader(os.Stdin, maxInput))
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxInput))
}

func (o *operator) keyList(org *string) *cobra.Command {
	return &cobra.Command{
		Use:   "list --org NAME",
		Short: "List an organization's keys",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := o.open()
			if err != nil {
				return err
			}
			keys, err := c.Keys(cmd.Context(), *org)
			if err != nil {
				return err
			}
			return o.show(cmd, keys, func(w io.Writer) {
				rows := make([][]string, len(keys))
				for i, k := range keys {
					state := "active"
					if k.RevokedAt != nil {
						state = "revoked " + date(*k.RevokedAt)
					}
					rows[i] = []string{k.ID, k.Algorithm, date(k.CreatedAt), state}
				}
				table(w, "ID ALGORITHM CREATED STATE", rows)
			})
		},
	}
}

func (o *operator) keyRevoke(org *string) *cobra.Command {
	return &cobra.Command{
		Use:   "revoke --org NAME ID",
		Short: "Revoke a key and with it all tokens that it signed",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.open()
			if err != nil {
				return err
			}
			if err := c.RevokeKey(cmd.Context(), *org, args[0]); err != nil {
				return err
			}
			return o.show(cmd, struct{}{}, func(w io.Writer) {
				fmt.Fprintf(w, "key %s of %s revoked\n", args[0], *org)
			})
		},
	}
}
