//go:build linux

// Command bench measures a built cairn as its users meet it: the binary runs as
// a process of its own on an empty data directory, requests come over loopback,
// and beside every figure stands what the same machine does in the same run
// without cairn: the same durable transaction, a plain synced append, or stock
// git. Its rule is that a figure without such a neighbour says nothing. How to
// read the table is in README.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
	"time"
)

// bench is what the subjects share.
type bench struct {
	server  *server
	table   *table
	sizes   sizes
	scratch string // a directory for this run alone
	cache   string // a directory for generated repositories
	binary  string // the built command
}

// subject is something that can be measured.
type subject struct {
	name string
	run  func(context.Context, *bench) error
	slow bool // takes minutes: only if asked for by name
}

// subjects are in the order of the table.
var subjects = []subject{
	{"create", measureCreate, false},
	{"faces", measureFaces, false},
	{"million", measureMillion, true},
	{"commit", measureCommit, false},
	{"age", measureAge, false},
	{"read", measureRead, false},
	{"list", measureList, false},
	{"log", measureLog, false},
	{"diff", measureDiff, false},
	{"grep", measureGrep, false},
	{"archive", measureArchive, false},
	{"blame", measureBlame, false},
	{"metadata", measureMetadata, false},
	{"clone", measureClone, false},
	{"fetch", measureFetch, false},
	{"push", measurePush, false},
	{"smallpush", measureSmallPush, false},
	{"refs", measureRefs, false},
	{"fork", measureFork, false},
	{"merge", measureMerge, false},
}

func main() {
	if root := os.Getenv(stockEnvironment); root != "" {
		fmt.Fprintln(os.Stderr, serveStock(root))
		os.Exit(1)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1) //nolint:gocritic // stop has run
	}
}

func run(ctx context.Context) error {
	only := flag.String("run", "", "regular expression of the subjects to measure; empty: all that do not take minutes")
	repeat := flag.Int("repeat", 3, "runs, each on a new server; the table shows medians")
	memory := flag.Bool("memory", false, "prove the memory bound instead: a large file, and the push and clones of a large repository")
	soak := flag.Duration("soak", 0, "run a mixed load for so long instead, and see whether anything grows")
	soakRate := flag.Int("soak-rate", 500, "requests per second of the soak")
	peers := flag.Bool("peers", false, "measure other Git servers beside cairn instead")
	giteaDir := flag.String("gitea", ".cache/gitea", "for -peers: the directory in which scripts/build-gitea has built one")
	b := &bench{table: new(table), sizes: realSizes}
	flag.DurationVar(&b.sizes.measurement, "time", b.sizes.measurement, "time for each measurement of a rate")
	flag.IntVar(&b.sizes.million, "repositories", b.sizes.million, "empty repositories of the subject million, fewer for a quick look")
	flag.StringVar(&b.binary, "binary", "bin/cairn", "the built command")
	flag.StringVar(&b.cache, "cache", ".cache/bench", "directory for generated repositories")
	flag.Parse()
	chosen, err := choose(*only)
	if err != nil {
		return err
	}
	if least := b.sizes.thousand + 2*b.sizes.window; b.sizes.million < least {
		return fmt.Errorf("-repositories %d is less than %d", b.sizes.million, least)
	}
	if b.binary, err = filepath.Abs(b.binary); err != nil {
		return err
	}
	if _, err := os.Stat(b.binary); err != nil {
		return fmt.Errorf("%w; make build first, or name the binary with -binary", err)
	}
	if b.cache, err = filepath.Abs(b.cache); err != nil {
		return err
	}
	switch {
	case *memory:
		return b.once(ctx, proveMemory)
	case *soak > 0:
		return b.once(ctx, func(ctx context.Context, b *bench) error { return runSoak(ctx, b, *soak, *soakRate) }, soakSettings(*soak)...)
	}
	measure := func(ctx context.Context, b *bench) error { return b.measure(ctx, chosen) }
	if *peers {
		measure = func(ctx context.Context, b *bench) error { return measurePeers(ctx, b, *giteaDir) }
	}
	return b.report(ctx, *repeat, measure)
}

// choose returns the subjects whose name matches.
func choose(pattern string) ([]subject, error) {
	expression, err := regexp.Compile(pattern)
	if err != nil {
		return nil, err
	}
	var chosen []subject
	for _, s := range subjects {
		if pattern == "" && !s.slow || pattern != "" && expression.MatchString(s.name) {
			chosen = append(chosen, s)
		}
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("no subject matches %q", pattern)
	}
	return chosen, nil
}

// report measures a number of times and prints the table.
func (b *bench) report(ctx context.Context, repeat int, measure func(context.Context, *bench) error) error {
	around, err := listen()
	if err != nil {
		return err
	}
	for i := range repeat {
		if err := b.once(ctx, measure); err != nil {
			return fmt.Errorf("run %d: %w", i+1, err)
		}
	}
	loud, err := around.report()
	if err != nil {
		return err
	}
	fmt.Printf("%s  \n%s\n\n", machine(), loud)
	if err := b.table.print(os.Stdout); err != nil {
		return err
	}
	if verdict := b.table.verdict(); verdict != "" {
		fmt.Printf("\n%s\n", verdict)
	}
	return nil
}

// measure runs the chosen subjects.
func (b *bench) measure(ctx context.Context, chosen []subject) error {
	for _, s := range chosen {
		began := time.Now()
		if err := s.run(ctx, b); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		fmt.Fprintf(os.Stderr, "%-10s %5.1f s\n", s.name, time.Since(began).Seconds())
	}
	return nil
}

// once runs f with a new server and a new directory, and takes both away.
func (b *bench) once(ctx context.Context, f func(context.Context, *bench) error, settings ...string) (err error) {
	if b.scratch, err = os.MkdirTemp("", "cairn-bench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.scratch)) }()
	if b.server, err = startServer(ctx, b.binary, b.path("data"), b.sizes.quiet, settings...); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.server.stop()) }()
	return f(ctx, b)
}

func (b *bench) path(name string) string { return filepath.Join(b.scratch, name) }
