//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// tinySizes are for the question whether a subject runs at all.
var tinySizes = sizes{
	measurement:  50 * time.Millisecond,
	quiet:        50 * time.Millisecond,
	largePack:    3 << 20, // enough to be repacked
	logPages:     2,
	logPage:      10,
	gitTurns:     2,
	wholeTurns:   1,
	smallPushes:  2,
	clonesAtOnce: 2,
	fetchAfter:   []int{1, 3},
	refs:         5,
	youngCommits: 20,
	oldCommits:   40,
	million:      400,
	thousand:     50,
	window:       100,

	soakRepositories: 3,

	memoryPack: 1 << 20,
	largeFile:  4 << 20,
}

// built is the command under measurement.
var built string

func TestMain(m *testing.M) {
	if root := os.Getenv(stockEnvironment); root != "" {
		fmt.Fprintln(os.Stderr, serveStock(root))
		os.Exit(1)
	}
	code, err := buildAndRun(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func buildAndRun(m *testing.M) (int, error) {
	dir, err := os.MkdirTemp("", "cairn-bench-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	built = filepath.Join(dir, "cairn")
	if out, err := exec.Command("go", "build", "-o", built, "../../cmd/cairn").CombinedOutput(); err != nil {
		return 1, fmt.Errorf("build: %w\n%s", err, out)
	}
	return m.Run(), nil
}

// tiny is a bench whose subjects are over in a moment.
func tiny(t *testing.T) *bench {
	t.Helper()
	return &bench{table: new(table), sizes: tinySizes, cache: t.TempDir(), binary: built}
}

// TestEverySubjectRuns runs every subject on tiny things, so that none rots
// unseen.
func TestEverySubjectRuns(t *testing.T) {
	t.Parallel()
	b := tiny(t)
	err := b.once(t.Context(), func(ctx context.Context, b *bench) error { return b.measure(ctx, subjects) })
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := b.table.print(&out); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s\n%s", out.String(), b.table.verdict())
	for _, l := range b.table.lines {
		if len(l.figures) != 1 {
			t.Errorf("%s: %d figures of one run", l.name, len(l.figures))
		}
	}
}

// TestPeersRun measures Gitea too where make bench-peers has built it.
func TestPeersRun(t *testing.T) {
	t.Parallel()
	b := tiny(t)
	if err := b.once(t.Context(), func(ctx context.Context, b *bench) error { return measurePeers(ctx, b, "../../.cache/gitea") }); err != nil {
		t.Fatal(err)
	}
	for _, row := range peerRows {
		cairn, stock := false, row.api
		for _, l := range b.table.lines {
			cairn = cairn || l.name == row.name
			stock = stock || l.subject != nil && l.subject.name == row.name && l.name == "git http-backend"
		}
		if !cairn || !stock {
			t.Errorf("%s: cairn %t, git http-backend %t", row.name, cairn, stock)
		}
	}
}

func TestMemoryBoundRuns(t *testing.T) {
	t.Parallel()
	if err := tiny(t).once(t.Context(), proveMemory); err != nil {
		t.Fatal(err)
	}
}

func TestSoakRuns(t *testing.T) {
	t.Parallel()
	const time = 2 * time.Second
	err := tiny(t).once(t.Context(), func(ctx context.Context, b *bench) error { return runSoak(ctx, b, time, 100) }, soakSettings(time)...)
	if err != nil {
		t.Fatal(err)
	}
}

// TestEverySubjectIsExplained holds README.md to the subjects.
func TestEverySubjectIsExplained(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range subjects {
		if !strings.Contains(string(readme), "\n| `"+s.name+"` | ") {
			t.Errorf("README.md says nothing of %s", s.name)
		}
	}
}
