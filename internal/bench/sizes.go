//go:build linux

package main

import "time"

// sizes say how much of everything is measured: real ones for figures, tiny
// ones for the test that no subject rots.
type sizes struct {
	measurement time.Duration // of a rate
	quiet       time.Duration // without work, after which a server is taken to have none

	largePack    int64 // bytes of the large repository's pack
	logPages     int   // of a log, and
	logPage      int   // how many commits each has
	gitTurns     int   // processes of git that make one figure
	wholeTurns   int   // of what reads a whole large repository
	smallPushes  int
	clonesAtOnce int
	fetchAfter   []int // numbers of new commits
	refs         int   // of a push of many

	youngCommits int // of a repository whose age is measured, at first
	oldCommits   int // and at last

	million  int // empty repositories
	thousand int // after so many the rate is measured first
	window   int // creations that one rate is of

	soakRepositories int

	memoryPack int64 // bytes of the repository of -memory
	largeFile  int   // bytes of the file of -memory
}

var realSizes = sizes{
	measurement:  3 * time.Second,
	quiet:        2 * time.Second,
	largePack:    120 << 20,
	logPages:     10,
	logPage:      100,
	gitTurns:     30,
	wholeTurns:   3,
	smallPushes:  20,
	clonesAtOnce: 8,
	fetchAfter:   []int{10, 100, 1000},
	refs:         1000,
	youngCommits: 1000,
	oldCommits:   10_000,
	million:      1_000_000,
	thousand:     1000,
	window:       20_000,

	soakRepositories: 50,

	memoryPack: 520 << 20,
	largeFile:  1 << 30,
}
