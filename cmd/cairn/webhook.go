package main

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cairn-storage/cairn/client"
)

func newWebhook() *cobra.Command {
	var a access
	return a.bind(group("webhook", "Addresses that events of a repository are sent to", a.webhookCreate(), a.webhookList(), a.webhookShow(), a.webhookUpdate(),
		a.webhookSecret(), a.webhookDelete(), a.webhookPing(), a.webhookDeliveries(), a.webhookRedeliver()))
}

func (a *access) showWebhook(cmd *cobra.Command, hook client.Webhook) error {
	return a.show(cmd, hook, func(w io.Writer) {
		state := "active"
		if !hook.Active {
			state = "paused: " + hook.PausedReason
		}
		fmt.Fprintf(w, "id       %s\nurl      %s\nevents   %s\nstate    %s\ncreated  %s\n", hook.ID, plain(hook.URL), strings.Join(hook.Events, ", "), state, date(hook.CreatedAt))
		if hook.Secret != "" {
			fmt.Fprintf(w, "secret   %s   (shown once)\n", hook.Secret)
		}
	})
}

func (a *access) webhookCreate() *cobra.Command {
	var events []string
	cmd := &cobra.Command{
		Use:   "create REPO URL",
		Short: "Have events sent to an address; prints the secret that signs them",
		Args:  cobra.ExactArgs(2),
		RunE: a.run(func(cmd *cobra.Command, repo *client.Repo, args []string) error {
			made, err := repo.CreateWebhook(cmd.Context(), args[0], events...)
			if err != nil {
				return err
			}
			return a.showWebhook(cmd, made)
		}),
	}
	cmd.Flags().StringSliceVar(&events, "event", []string{"push"}, "push, repo.sync.started, repo.sync.succeeded, repo.sync.failed")
	return cmd
}

func (a *access) webhookList() *cobra.Command {
	return &cobra.Command{
		Use:   "list REPO",
		Short: "List webhooks",
		Args:  cobra.ExactArgs(1),
		RunE: a.run(func(cmd *cobra.Command, repo *client.Repo, _ []string) error {
			hooks, err := collect(repo.Webhooks(cmd.Context()))
			if err != nil {
				return err
			}
			return a.show(cmd, hooks, func(w io.Writer) {
				rows := make([][]string, len(hooks))
				for i, h := range hooks {
					rows[i] = []string{h.ID, strconv.FormatBool(h.Active), strings.Join(h.Events, ","), plain(h.URL)}
				}
				table(w, "ID ACTIVE EVENTS URL", rows)
			})
		}),
	}
}

func (a *access) webhookShow() *cobra.Command {
	return &cobra.Command{
		Use:   "show REPO ID",
		Short: "Show a webhook",
		Args:  cobra.ExactArgs(2),
		RunE: a.run(func(cmd *cobra.Command, repo *client.Repo, args []string) error {
			found, err := repo.Webhook(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return a.showWebhook(cmd, found)
		}),
	}
}

func (a *access) webhookUpdate() *cobra.Command {
	var address string
	var change client.WebhookChange
	var resume, pause bool
	cmd := &cobra.Command{
		Use:   "update REPO ID",
		Short: "Change, pause or resume a webhook",
		Args:  cobra.ExactArgs(2),
		RunE: a.run(func(cmd *cobra.Command, repo *client.Repo, args []string) error {
			if address != "" {
				change.URL = &address
			}
			if resume && pause {
				return usageError{errors.New("--resume and --pause do not go together")}
			}
			if resume || pause {
				change.Active = &resume
			}
			changed, err := repo.UpdateWebhook(cmd.Context(), args[0], change)
			if err != nil {
				return err
			}
			return a.showWebhook(cmd, changed)
		}),
	}
	cmd.Flags().StringVar(&address, "url", "", "another address")
	cmd.Flags().StringSliceVar(&change.Events, "event", nil, "other events")
	cmd.Flags().BoolVar(&resume, "resume", false, "send again")
	cmd.Flags().BoolVar(&pause, "pause", false, "send no more")
	return cmd
}

func (a *access) webhookSecret() *cobra.Command {
	return &cobra.Command{
		Use:   "rotate-secret REPO ID",
		Short: "Make a new secret and print it",
		Args:  cobra.ExactArgs(2),
		RunE: a.run(func(cmd *cobra.Command, repo *client.Repo, args []string) error {
			changed, err := repo.RotateWebhookSecret(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return a.showWebhook(cmd, changed)
		}),
	}
}

func (a *access) webhookDelete() *cobra.Command {
	return &cobra.Command{
		Use:   "delete REPO ID",
		Short: "Delete a webhook with all that waits for it",
		Args:  cobra.ExactArgs(2),
		RunE: a.run(func(cmd *cobra.Command, repo *client.Repo, args []string) error {
			if err := repo.DeleteWebhook(cmd.Context(), args[0]); err != nil {
				return err
			}
			return a.done(cmd, "webhook %s deleted", args[0])
		}),
	}
}

func (a *access) webhookPing() *cobra.Command {
	return &cobra.Command{
		Use:   "ping REPO ID",
		Short: "Send an event that only tries the way",
		Args:  cobra.ExactArgs(2),
		RunE: a.run(func(cmd *cobra.Command, repo *client.Repo, args []string) error {
			made, err := repo.PingWebhook(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return a.show(cmd, made, func(w io.Writer) { fmt.Fprintf(w, "delivery %s is on its way\n", made.ID) })
		}),
	}
}

func (a *access) webhookDeliveries() *cobra.Command {
	var number int
	cmd := &cobra.Command{
		Use:   "deliveries REPO ID [DELIVERY]",
		Short: "List what was sent, the newest first, or show one with its payload",
		Args:  cobra.RangeArgs(2, 3),
		RunE: a.run(func(cmd *cobra.Command, repo *client.Repo, args []string) error {
			if len(args) == 2 {
				found, err := repo.WebhookDelivery(cmd.Context(), args[0], args[1])
				if err != nil {
					return err
				}
				return a.show(cmd, found, func(w io.Writer) {
					fmt.Fprintf(w, "event     %s\nstate     %s after %d attempts\nstatus    %d\nerror     %s\nanswer    %s\npayload   %s\n",
						found.Event, found.State, found.Attempts, found.Status, plain(found.Error), plain(found.Answer), plain(found.Payload))
				})
			}
			found, err := firstN(repo.Deliveries(cmd.Context(), args[0]), number)
			if err != nil {
				return err
			}
			return a.show(cmd, found, func(w io.Writer) {
				rows := make([][]string, len(found))
				for i, d := range found {
					rows[i] = []string{d.ID, d.Event, d.State, strconv.Itoa(d.Attempts), strconv.Itoa(d.Status), date(d.CreatedAt)}
				}
				table(w, "ID EVENT STATE ATTEMPTS STATUS CREATED", rows)
			})
		}),
	}
	cmd.Flags().IntVarP(&number, "number", "n", 20, "how many; -1 is all")
	return cmd
}

func (a *access) webhookRedeliver() *cobra.Command {
	return &cobra.Command{
		Use:   "redeliver REPO ID DELIVERY",
		Short: "Send a delivery once more",
		Args:  cobra.ExactArgs(3),
		RunE: a.run(func(cmd *cobra.Command, repo *client.Repo, args []string) error {
			made, err := repo.Redeliver(cmd.Context(), args[0], args[1])
			if err != nil {
				return err
			}
			return a.show(cmd, made, func(w io.Writer) { fmt.Fprintf(w, "delivery %s is on its way\n", made.ID) })
		}),
	}
}
