package service

import (
	"time"

	"github.com/cairn-storage/cairn/internal/git/protocol"
)

// Limits bound what one request may ask for. A zero field means its default.
type Limits struct {
	CommitFiles   int           // paths changed by one commit through the API; default 100,000
	FileSize      int64         // bytes of one file; default 4 GiB
	RequestSize   int64         // bytes of all files of one commit; default 16 GiB
	PatchSize     int64         // bytes of the patch of one commit; default 64 MiB
	LineSize      int           // bytes of one NDJSON line; default 6 MiB
	TokenTTL      time.Duration // from iat to exp of a token, default 10 years (SDKs mint git URLs for a year)
	PolicyRules   int           // ref rules in one token; default 256
	RefsPerPush   int           // refs moved by one push; default 10,000
	DiffFileSize  int64         // bytes of a file that a diff shows; default 500 KB
	DiffFileLines int           // changed lines of a file that a diff shows; default 2,000
	// Git bounds what one request of a Git client may hold. If its Wants is
	// zero, all of it is protocol.DefaultLimits.
	Git          protocol.Limits
	EventStreams int // live event streams of one organization; default 128
	// SyncTime bounds one attempt to follow an upstream; default 1 hour.
	SyncTime    time.Duration
	WalkEntries int64 // tree entries that one listing or diff may visit; default 5,000,000
}

func (l Limits) withDefaults() Limits {
	set(&l.CommitFiles, 100_000)
	set(&l.FileSize, 4<<30)
	set(&l.RequestSize, 16<<30)
	set(&l.PatchSize, 64<<20)
	set(&l.LineSize, 6<<20)
	set(&l.TokenTTL, 10*365*24*time.Hour)
	set(&l.PolicyRules, 256)
	set(&l.RefsPerPush, 10_000)
	set(&l.DiffFileSize, 500_000)
	set(&l.DiffFileLines, 2_000)
	set(&l.EventStreams, 128)
	set(&l.SyncTime, time.Hour)
	set(&l.WalkEntries, 5_000_000)
	if l.Git.Wants == 0 {
		l.Git = protocol.DefaultLimits()
	}
	l.Git.Commands = l.RefsPerPush
	return l
}

func set[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
