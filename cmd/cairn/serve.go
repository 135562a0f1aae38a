package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/cairn-storage/cairn/internal/config"
	"github.com/cairn-storage/cairn/internal/server"
)

func newServe() *cobra.Command {
	var file string
	var print bool
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the server",
		Long:  "Run the server. A setting comes from its flag, else from the environment (CAIRN_...),\nelse from the file, else from its default.",
		Args:  cobra.NoArgs,
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().StringVar(&file, "config", "", "file with settings, YAML (CAIRN_CONFIG)")
	cmd.Flags().BoolVar(&print, "print-config", false, "print the settings as a file and exit")
	flags := config.Bind(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := config.Load(firstOf(file, os.Getenv("CAIRN_CONFIG")), os.LookupEnv, flags)
		if err != nil {
			return usageError{err}
		}
		if print {
			return c.Print(cmd.OutOrStdout())
		}
		return serve(cmd.Context(), c, cmd.OutOrStdout())
	}
	return cmd
}

// serve runs the server until a signal ends it or a listener fails.
func serve(ctx context.Context, c config.Config, out io.Writer) error {
	logger := newLogger(c)
	boundMemory(c)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	defer signal.Stop(signals)
	s, err := server.Start(ctx, c, logger, thisBuild().Version)
	if err != nil {
		return err
	}
	logger.Info("serving", "address", s.URL(), "ops_address", s.OpsURL(), "data", c.Data, "version", thisBuild().Version)
	if c.LogFormat == "text" {
		welcome(out, c, s)
	}
	select {
	case caught := <-signals:
		logger.Info("stopping; a second signal stops at once", "signal", caught.String())
	case err = <-s.Failed():
	}
	stopped := make(chan error, 1)
	go func() { stopped <- s.Stop() }()
	select {
	case stopError := <-stopped:
		if err == nil {
			err = stopError
		}
		logger.Info("stopped")
		return err
	case caught := <-signals:
		// What was acknowledged is durable; the rest of the process has
		// nothing to lose.
		return fmt.Errorf("stopped at once by a second signal (%s): %w", caught, context.Canceled)
	}
}

// workingMemory is what the server may need beside its cache before garbage is
// collected more often than it would be. It is no hard limit.
const workingMemory = 160 << 20

// boundMemory keeps garbage from taking more than the cache and the work under
// way are worth. GOMEMLIMIT wins.
func boundMemory(c config.Config) {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(int64(c.CacheSize) + workingMemory)
	}
}

func newLogger(c config.Config) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		panic("log-level was checked: " + err.Error())
	}
	options := &slog.HandlerOptions{Level: level}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(os.Stderr, options))
	}
	return slog.New(slog.NewTextHandler(os.Stderr, options))
}

// welcome tells a person where everything is and what to try next, in one piece.
func welcome(out io.Writer, c config.Config, s *server.Server) {
	w := &bytes.Buffer{}
	defer func() { _, _ = out.Write(w.Bytes()) }()
	data := c.Data
	if absolute, err := filepath.Abs(data); err == nil {
		data = absolute
	}
	fmt.Fprintf(w, "cairn %s is ready.\n\n", thisBuild().Version)
	fmt.Fprintf(w, "  API and Git   %s\n", s.ExternalURL())
	if s.OpsURL() != "" {
		fmt.Fprintf(w, "  Metrics       %s/metrics\n", s.OpsURL())
	}
	fmt.Fprintf(w, "  Data          %s\n", data)
	if c.AdminToken == "" {
		fmt.Fprintf(w, "  Admin token   %s\n", filepath.Join(data, "admin-token"))
	}
	git := "git clone "
	if s.Authority() != "" {
		authority, err := filepath.Abs(s.Authority())
		if err != nil {
			authority = s.Authority()
		}
		fmt.Fprintf(w, "\nThe certificate is signed by this server's own authority. To trust it:\n\n")
		fmt.Fprintf(w, "  git -c http.sslCAInfo=%s clone ...\n", authority)
		fmt.Fprintf(w, "  curl --cacert %s %s/healthz\n", authority, s.ExternalURL())
		git = "git -c http.sslCAInfo=" + authority + " clone "
	}
	scheme, host, _ := strings.Cut(s.ExternalURL(), "://")
	fmt.Fprintf(w, "\nTry next, in another terminal:\n\n")
	fmt.Fprintf(w, "  export CAIRN_DATA=%s\n", data)
	fmt.Fprintf(w, "  cairn org create acme\n")
	fmt.Fprintf(w, "  cairn key create --org acme --out acme.pem\n")
	fmt.Fprintf(w, "  cairn repo create acme/hello\n")
	fmt.Fprintf(w, "  %s%s://t:$(cairn token --org acme --key acme.pem --repo hello)@%s/hello.git\n\n", git, scheme, host)
}
