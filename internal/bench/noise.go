//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// noise tells what other processes computed during a measurement: figures of a
// machine that is not quiet are too bad, and times more so than CPU times.
type noise struct {
	began  time.Time
	others time.Duration
}

func listen() (noise, error) {
	others, err := othersCPU()
	return noise{time.Now(), others}, err
}

// report says how loud it was. The processes that ended count as this one's.
func (n noise) report() (string, error) {
	cpus, err := n.cpus()
	return fmt.Sprintf("Other processes used %.1f CPUs meanwhile.", cpus), err
}

// cpus is how many CPUs other processes kept busy.
func (n noise) cpus() (float64, error) {
	now, err := othersCPU()
	return max(0, float64(now-n.others)/float64(time.Since(n.began))), err
}

// othersCPU is the time that the machine has computed, without that of this
// process and its children that ended.
func othersCPU() (time.Duration, error) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	line, _, _ := strings.Cut(string(stat), "\n")
	fields := strings.Fields(line)
	if len(fields) < 8 {
		return 0, errors.New("/proc/stat has another form")
	}
	var busy time.Duration
	for _, i := range []int{1, 2, 3, 6, 7} { // user, nice, system, irq, softirq
		ticks, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			return 0, err
		}
		busy += time.Duration(ticks) * time.Second / ticksPerSecond
	}
	own, err := ownCPU()
	if err != nil {
		return 0, err
	}
	children, err := rusage(syscall.RUSAGE_CHILDREN)
	return busy - own - children, err
}

// ownCPU is the time that this process has computed.
func ownCPU() (time.Duration, error) { return rusage(syscall.RUSAGE_SELF) }

func rusage(who int) (time.Duration, error) {
	var use syscall.Rusage
	if err := syscall.Getrusage(who, &use); err != nil {
		return 0, err
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano()), nil
}
