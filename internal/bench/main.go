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
	server   *server
	table    *table
	duration time.Duration // of a measurement of a rate
	scratch  string        // a directory for this run alone
	cache    string        // a directory for generated repositories
}

// subjects are what can be measured, in the order of the table.
var subjects = []struct {
	name string
	run  func(context.Context, *bench) error
}{
	{"create", measureCreate},
	{"commit", measureCommit},
	{"read", measureRead},
	{"list", measureList},
	{"log", measureLog},
	{"diff", measureDiff},
	{"clone", measureClone},
	{"push", measurePush},
	{"smallpush", measureSmallPush},
	{"fork", measureFork},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1) //nolint:gocritic // stop has run
	}
}

func run(ctx context.Context) error {
	only := flag.String("run", ".", "regular expression of the subjects to measure")
	duration := flag.Duration("time", 3*time.Second, "time for each measurement of a rate")
	repeat := flag.Int("repeat", 3, "runs, each on a new server; the table shows medians")
	binary := flag.String("binary", "bin/cairn", "the built command")
	cache := flag.String("cache", ".cache/bench", "directory for generated repositories")
	memory := flag.Bool("memory", false, "prove the memory bound instead: a large file, and the push and clone of a large repository")
	flag.Parse()
	pattern, err := regexp.Compile(*only)
	if err != nil {
		return err
	}
	if *binary, err = filepath.Abs(*binary); err != nil {
		return err
	}
	if _, err := os.Stat(*binary); err != nil {
		return fmt.Errorf("%w; make build first, or name the binary with -binary", err)
	}
	if *cache, err = filepath.Abs(*cache); err != nil {
		return err
	}
	b := &bench{table: new(table), duration: *duration, cache: *cache}
	around, err := listen()
	if err != nil {
		return err
	}
	if *memory {
		return b.once(ctx, *binary, proveMemory)
	}
	for i := range *repeat {
		err := b.once(ctx, *binary, func(ctx context.Context, b *bench) error {
			return b.measure(ctx, pattern)
		})
		if err != nil {
			return fmt.Errorf("run %d: %w", i+1, err)
		}
	}
	if len(b.table.lines) == 0 {
		return fmt.Errorf("no subject matches %q", *only)
	}
	loud, err := around.report()
	if err != nil {
		return err
	}
	fmt.Printf("%s\n%s\n\n", machine(), loud)
	return b.table.print(os.Stdout)
}

// measure runs the chosen subjects.
func (b *bench) measure(ctx context.Context, pattern *regexp.Regexp) error {
	for _, s := range subjects {
		if !pattern.MatchString(s.name) {
			continue
		}
		began := time.Now()
		if err := s.run(ctx, b); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		fmt.Fprintf(os.Stderr, "%-10s %5.1f s\n", s.name, time.Since(began).Seconds())
	}
	return nil
}

// once runs f with a new server and a new directory, and takes both away.
func (b *bench) once(ctx context.Context, binary string, f func(context.Context, *bench) error) (err error) {
	if b.scratch, err = os.MkdirTemp("", "cairn-bench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.scratch)) }()
	if b.server, err = startServer(ctx, binary, filepath.Join(b.scratch, "data")); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.server.stop()) }()
	return f(ctx, b)
}

func (b *bench) path(name string) string { return filepath.Join(b.scratch, name) }
