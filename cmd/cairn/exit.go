package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os/exec"

	"github.com/spf13/cobra"

	"github.com/cairn-storage/cairn/client"
)

// The exit statuses, by kind of failure.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitDenied      = 3 // no credential, or not one for this
	exitNotFound    = 4
	exitConflict    = 5 // it exists already, or is in use
	exitTooLarge    = 6 // over a limit
	exitUnavailable = 7 // no server answers, or it cannot answer now
	exitInterrupted = 130
)

// usageError is a mistake in the command line.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func exitStatus(err error) int {
	var usage usageError
	var refused *client.Error
	var network *net.OpError
	var dns *net.DNSError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &usage):
		return exitUsage
	case errors.As(err, &refused):
		return exitStatusOf(refused.Status)
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	case errors.As(err, &network) && network.Op == "dial", errors.As(err, &dns):
		return exitUnavailable
	}
	return exitFailed
}

func exitStatusOf(status int) int {
	switch status {
	case http.StatusBadRequest:
		return exitUsage
	case http.StatusUnauthorized, http.StatusForbidden:
		return exitDenied
	case http.StatusNotFound:
		return exitNotFound
	case http.StatusConflict, http.StatusPreconditionFailed:
		return exitConflict
	case http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity, http.StatusTooManyRequests:
		return exitTooLarge
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return exitUnavailable
	}
	return exitFailed
}

// describe adds the remedy where the error alone does not say it.
func describe(cmd *cobra.Command, err error) string {
	var refused *client.Error
	switch {
	case exitStatus(err) == exitUnavailable && !errors.As(err, &refused):
		return err.Error() + "\nIs cairn serve running? --server says where, or --data names its data directory."
	case errors.As(err, &refused) && refused.Status == http.StatusUnauthorized && cmd.Flag("key") != nil:
		return err.Error() + "\nIs the key registered with this server, for this organization? cairn key list --org NAME shows those that are."
	case errors.As(err, &refused) && refused.Status == http.StatusUnauthorized:
		return err.Error() + "\nGive --admin-token, set CAIRN_ADMIN_TOKEN, or name the server's data directory with --data."
	case errors.Is(err, exec.ErrNotFound):
		return err.Error() + "\nThis command needs git."
	}
	return err.Error()
}
