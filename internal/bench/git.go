//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/cairn-storage/cairn/internal/demo"
)

// runProcess runs a command to its end, its output going nowhere, and tells
// the time and the CPU time of it and its children.
func runProcess(cmd *exec.Cmd) (wall, cpu time.Duration, err error) {
	var stderr strings.Builder
	if cmd.Stdout == nil {
		cmd.Stdout = io.Discard // read like a client would, through a pipe
	}
	cmd.Stderr = &stderr
	began := time.Now()
	if err := cmd.Run(); err != nil {
		return 0, 0, fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, stderr.String())
	}
	return time.Since(began), cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), nil
}

// processes runs a git for every turn and returns the medians.
func processes(ctx context.Context, turns int, dir string, args func(turn int) []string) (figure, error) {
	walls, cpus := make([]time.Duration, turns), make([]time.Duration, turns)
	for turn := range turns {
		var err error
		if walls[turn], cpus[turn], err = runProcess(demo.GitCommand(ctx, dir, args(turn)...)); err != nil {
			return figure{}, err
		}
	}
	return took(middle(walls), middle(cpus), 0), nil
}

func middle(times []time.Duration) time.Duration {
	slices.Sort(times)
	return times[len(times)/2]
}
