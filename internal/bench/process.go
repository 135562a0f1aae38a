//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// process is a server under measurement, whoever made it.
type process struct {
	cmd     *exec.Cmd
	exited  chan error
	log     *os.File     // what it says on its standard error
	peak    atomic.Int64 // RssAnon in bytes since the last reset
	sampler sync.WaitGroup
	done    chan struct{}
}

// target is a server that requests are made to.
type target struct {
	*process
	url string
}

// startProcess starts a command whose standard error goes to the file.
func startProcess(cmd *exec.Cmd, logFile string) (*process, error) {
	log, err := os.OpenFile(logFile, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, log: log, exited: make(chan error, 1), done: make(chan struct{})}
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(err, log.Close())
	}
	go func() { p.exited <- cmd.Wait() }()
	p.sampler.Go(p.sample)
	return p, nil
}

// stop ends the process and what watches it.
func (p *process) stop() error {
	signaled := p.cmd.Process.Signal(syscall.SIGTERM)
	if errors.Is(signaled, os.ErrProcessDone) {
		signaled = nil
	}
	err := <-p.exited
	close(p.done)
	p.sampler.Wait()
	return errors.Join(signaled, err, p.log.Close())
}

// ended returns why the process is no more; nil while it lives.
func (p *process) ended() error {
	select {
	case err := <-p.exited:
		p.exited <- err
		return fmt.Errorf("the server ended: %w\n%s", err, p.lastLog())
	default:
		return nil
	}
}

func (p *process) lastLog() string {
	text, err := os.ReadFile(p.log.Name())
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-2000):])
}

// sample keeps the peak of the process's own memory up to date.
func (p *process) sample() {
	for {
		if now, err := anonOf(p.cmd.Process.Pid); err == nil && now > p.peak.Load() {
			p.peak.Store(now)
		}
		select {
		case <-p.done:
			return
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// anonOf is the memory that belongs to a process alone, in bytes: its heap and
// stacks, not the files that it maps.
func anonOf(pid int) (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	_, rest, found := strings.Cut(string(status), "RssAnon:")
	if !found {
		return 0, errors.New("no RssAnon in /proc: this system does not tell, or the process has ended")
	}
	kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	return kib << 10, err
}

// anonOfChildren is the memory of the processes that a process has started and
// that live, and of theirs.
func anonOfChildren(pid int) (sum int64) {
	for _, child := range childrenOf(pid) {
		if own, err := anonOf(child); err == nil { // else it has ended
			sum += own + anonOfChildren(child)
		}
	}
	return sum
}

func childrenOf(pid int) (all []int) {
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, list := range lists {
		children, err := os.ReadFile(list)
		if err != nil {
			continue // the thread has ended
		}
		for child := range strings.FieldsSeq(string(children)) {
			if id, err := strconv.Atoi(child); err == nil {
				all = append(all, id)
			}
		}
	}
	return all
}

// ticksPerSecond is the unit of CPU times in /proc, on every Linux there is.
const ticksPerSecond = 100

// cpu is the time that the process has computed, user and system, with that of
// its children.
func (p *process) cpu() (time.Duration, error) {
	pid := p.cmd.Process.Pid
	var own unix.Timespec
	const scheduled = 2 // CPUCLOCK_SCHED: nanoseconds, where /proc has hundredths of a second
	if err := unix.ClockGettime(int32(^pid)<<3|scheduled, &own); err != nil {
		return 0, err
	}
	_, ended, err := ticksOf(pid)
	return time.Duration(own.Nano()) + (ended+ticksOfChildren(pid))*time.Second/ticksPerSecond, err
}

// ticksOf is the time that a process, and its children that have ended, have
// computed.
func ticksOf(pid int) (own, ended time.Duration, err error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, err
	}
	// The fields after the command's name, which may hold anything but ")".
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	var ticks [4]time.Duration
	for i := range ticks {
		n, err := strconv.ParseInt(fields[11+i], 10, 64)
		if err != nil {
			return 0, 0, err
		}
		ticks[i] = time.Duration(n)
	}
	return ticks[0] + ticks[1], ticks[2] + ticks[3], nil
}

// ticksOfChildren is the time of the processes that a process has started and
// that live.
func ticksOfChildren(pid int) (sum time.Duration) {
	for _, child := range childrenOf(pid) {
		own, ended, err := ticksOf(child)
		if err == nil { // else it has ended
			sum += own + ended + ticksOfChildren(child)
		}
	}
	return sum
}

// usage is what something took of a server.
type usage struct {
	wall time.Duration
	cpu  time.Duration
	anon int64 // the peak, in bytes
}

// each shares the CPU time out among a number of operations.
func (u usage) each(operations int) time.Duration { return u.cpu / time.Duration(operations) }

// watch runs f and tells what it took.
func (p *process) watch(f func() error) (usage, error) {
	before, err := p.cpu()
	if err != nil {
		return usage{}, err
	}
	p.peak.Store(0)
	began := time.Now()
	if err := f(); err != nil {
		return usage{}, fmt.Errorf("%w\n%s", err, p.lastLog())
	}
	wall := time.Since(began)
	after, err := p.cpu()
	if err != nil {
		return usage{}, err
	}
	now, err := anonOf(p.cmd.Process.Pid)
	return usage{wall, after - before, max(now, p.peak.Load())}, err
}
