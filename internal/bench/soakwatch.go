//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/storage/sqlite"
)

// soakSamples is how many samples a soak takes.
const soakSamples = 60

// soakSample is the state of the server at one moment of a soak.
type soakSample struct {
	after       time.Duration
	anon        int64 // bytes of the server's own memory
	children    int64 // bytes of that of its git processes
	goroutines  int64
	descriptors int64
	disk        int64 // bytes of the data directory
	garbage     int64 // replaced packs that are not removed yet
	requests    int64 // since the start
}

// soakColumns are what a sample shows; of those with a flat limit the last
// quarter's median may be at most so many times the first quarter's.
var soakColumns = []struct {
	name  string
	unit  unit
	value func(soakSample) int64
	flat  float64 // 0: it may grow
}{
	{"RssAnon", bytesUnit, func(s soakSample) int64 { return s.anon }, 1.25},
	{"of its gits", bytesUnit, func(s soakSample) int64 { return s.children }, 0},
	{"goroutines", number, func(s soakSample) int64 { return s.goroutines }, 1.25},
	{"descriptors", number, func(s soakSample) int64 { return s.descriptors }, 1.25},
	{"disk", bytesUnit, func(s soakSample) int64 { return s.disk }, 0},
	{"garbage packs", number, func(s soakSample) int64 { return s.garbage }, 0},
	{"requests", number, func(s soakSample) int64 { return s.requests }, 0},
}

// garbageBound is how many times the most garbage of the first half the second
// may have at most. The first half is several times as long as the time that
// garbage is kept.
const garbageBound = 1.5

// soakWatcher samples a server.
type soakWatcher struct {
	bench    *bench
	metadata *sqlite.Metadata
	samples  []soakSample
}

func newSoakWatcher(ctx context.Context, b *bench) (*soakWatcher, error) {
	m, err := sqlite.Open(ctx, filepath.Join(b.server.data, "cairn.db"))
	return &soakWatcher{bench: b, metadata: m}, err
}

func (w *soakWatcher) close() { _ = w.metadata.Close() }

// watch takes a sample now and then until the time is over.
func (w *soakWatcher) watch(ctx context.Context, began time.Time, d time.Duration) error {
	ticker := time.NewTicker(d / soakSamples)
	defer ticker.Stop()
	for time.Since(began) < d {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		sample, err := w.sample(ctx, time.Since(began))
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		w.samples = append(w.samples, sample)
	}
	return nil
}

func (w *soakWatcher) sample(ctx context.Context, after time.Duration) (soakSample, error) {
	s := soakSample{after: after}
	pid := w.bench.server.cmd.Process.Pid
	var err error
	if s.anon, err = anonOf(pid); err != nil {
		return s, err
	}
	s.children = anonOfChildren(pid)
	figures, err := w.bench.server.metrics(ctx)
	if err != nil {
		return s, err
	}
	s.goroutines, s.descriptors = int64(figures["go_goroutines"]), int64(figures["process_open_fds"])
	s.requests = requestsIn(figures)
	data, err := onDisk(w.bench.server.data)
	if err != nil {
		return s, err
	}
	s.disk = data.bytes
	err = w.metadata.View(ctx, func(tx cairn.Tx) error {
		garbage, err := tx.Packs().Garbage(time.Now().Add(time.Hour), 1<<20)
		s.garbage = int64(len(garbage))
		return err
	})
	return s, err
}

// requestsIn adds up the requests of all routes in a server's metrics.
func requestsIn(figures map[string]float64) (sum int64) {
	for name, value := range figures {
		if len(name) > len(requestCount) && name[:len(requestCount)] == requestCount {
			sum += int64(value)
		}
	}
	return sum
}

const requestCount = "cairn_http_request_duration_seconds_count"

// print writes some of the samples, and what the quarters say.
func (w *soakWatcher) print(out io.Writer) error {
	if len(w.samples) < 4 {
		return fmt.Errorf("%d samples are too few to say anything: let it run longer", len(w.samples))
	}
	rows := [][]string{{"after"}}
	for _, column := range soakColumns {
		rows[0] = append(rows[0], column.name)
	}
	const shown = 12
	for i, s := range w.samples {
		if len(w.samples) > shown && i%(len(w.samples)/shown) != 0 && i != len(w.samples)-1 {
			continue
		}
		row := []string{s.after.Round(time.Second).String()}
		for _, column := range soakColumns {
			row = append(row, format(float64(column.value(s)), column.unit))
		}
		rows = append(rows, row)
	}
	if _, err := fmt.Fprintln(out); err != nil {
		return err
	}
	if err := writeRows(out, rows); err != nil {
		return err
	}
	_, err := fmt.Fprintln(out)
	if err != nil {
		return err
	}
	return writeRows(out, w.verdicts())
}

// verdicts compares the medians of the first and the last quarter.
func (w *soakWatcher) verdicts() [][]string {
	rows := [][]string{{"median of", "the first quarter", "the last quarter", "ratio", "goal", "reached"}}
	quarter := len(w.samples) / 4
	for _, column := range soakColumns {
		first := medianOf(w.samples[:quarter], column.value)
		last := medianOf(w.samples[len(w.samples)-quarter:], column.value)
		row := []string{column.name, format(float64(first), column.unit), format(float64(last), column.unit), "", "", ""}
		if column.flat > 0 {
			grown := float64(last) / float64(max(1, first))
			row[3], row[4], row[5] = digits(grown)+"×", fmt.Sprintf("≤ %g×", column.flat), yesNo(grown <= column.flat)
		}
		rows = append(rows, row)
	}
	half := len(w.samples) / 2
	first, last := mostGarbage(w.samples[:half]), mostGarbage(w.samples[half:])
	grown := float64(last) / float64(max(1, first))
	return append(rows, []string{
		"garbage packs, the most of each half", thousands(first), thousands(last), times(grown),
		fmt.Sprintf("≤ %g×", garbageBound), yesNo(grown <= garbageBound),
	})
}

func mostGarbage(samples []soakSample) (most int64) {
	for _, s := range samples {
		most = max(most, s.garbage)
	}
	return most
}

func medianOf(samples []soakSample, value func(soakSample) int64) int64 {
	values := make([]int64, len(samples))
	for i, s := range samples {
		values[i] = value(s)
	}
	slices.Sort(values)
	return values[len(values)/2]
}
