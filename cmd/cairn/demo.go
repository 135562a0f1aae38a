package main

import (
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/cairn-storage/cairn/internal/demo"
)

func newDemo() *cobra.Command {
	var o demo.Options
	var verbose bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show the main job on a throw-away server",
		Long: "Start a throw-away server, bring a repository to it with git, commit, read, diff and\n" +
			"fork it over HTTP, clone it back, and check every answer against git. It needs git and\n" +
			"nothing else, and leaves nothing behind.",
		Args: cobra.NoArgs,
	}
	cmd.Flags().StringVar(&o.Repo, "repo", "", "the repository to push; else that of cairn itself when run in its checkout, else a small one")
	cmd.Flags().BoolVar(&o.Keep, "keep", false, "leave the server running at the end, until Ctrl-C")
	cmd.Flags().BoolVar(&verbose, "verbose", false, "show the server's log on standard error")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		o.Out = cmd.OutOrStdout()
		o.Terminal = term.IsTerminal(int(os.Stdout.Fd())) && os.Getenv("NO_COLOR") == ""
		o.Version = thisBuild().Version
		o.Logger = slog.New(slog.DiscardHandler)
		if verbose {
			o.Logger = slog.New(slog.NewTextHandler(os.Stderr, nil))
		}
		return demo.Run(ctx, o)
	}
	return cmd
}
