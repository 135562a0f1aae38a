package service

import (
	"strings"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
)

// The types of events of cairn.MesaForm about exchanges with upstreams.
const (
	mesaSyncQueued     cairn.EventType = "sync.queued"
	mesaSyncInProgress cairn.EventType = "sync.in_progress"
	mesaSyncCompleted  cairn.EventType = "sync.completed"
	mesaSyncFailed     cairn.EventType = "sync.failed"
)

// MesaSync is an exchange with an upstream as the Mesa API and its events show
// it. What is null depends on the status.
type MesaSync struct {
	ID         string              `json:"id"`
	RepoID     string              `json:"repo_id"`
	Direction  cairn.SyncDirection `json:"direction"`
	Status     string              `json:"status"`
	Attempt    int                 `json:"attempt"`
	Globs      mesaGlobs           `json:"ref_globs"`
	Stats      *mesaSyncStats      `json:"stats"`
	Error      *string             `json:"error"`
	CreatedAt  string              `json:"created_at"`
	StartedAt  *string             `json:"started_at"`
	FinishedAt *string             `json:"finished_at"`
}

type mesaGlobs struct {
	Branches string `json:"branches"`
	Tags     string `json:"tags"`
}

type mesaSyncStats struct {
	Refs []mesaSyncRef `json:"refs"`
}

// mesaSyncRef is what became of a ref, under its full name: a tag may be called
// as a branch is.
type mesaSyncRef struct {
	Name    git.RefName       `json:"name"`
	Before  *string           `json:"before"` // null: it is new
	After   string            `json:"after"`
	Outcome cairn.SyncOutcome `json:"outcome"`
}

// mesaSyncEvents are the events of the statuses, and their names. Between two
// attempts a run is in progress, which is not told again.
var mesaSyncEvents = map[cairn.SyncStatus]cairn.EventType{
	cairn.SyncQueued: mesaSyncQueued, cairn.SyncRunning: mesaSyncInProgress, cairn.SyncRetrying: mesaSyncInProgress,
	cairn.SyncSucceeded: mesaSyncCompleted, cairn.SyncFailed: mesaSyncFailed,
}

// sync tells how far an exchange with an upstream is.
func (m *mesaMessages) sync(run cairn.SyncRun) error {
	return m.add(mesaSyncEvents[run.Status], struct {
		Sync MesaSync `json:"sync"`
	}{NewMesaSync(run)})
}

// NewMesaSync shows a run.
func NewMesaSync(run cairn.SyncRun) MesaSync {
	shown := MesaSync{
		ID: PublicSyncID(run.ID), RepoID: run.Repository.Public(), Direction: run.Direction, Status: strings.TrimPrefix(string(mesaSyncEvents[run.Status]), "sync."),
		Attempt: run.Attempts, Globs: mesaGlobs{run.Branches, run.Tags}, CreatedAt: mesaTime(run.RequestedAt),
		StartedAt: mesaMoment(run.StartedAt), FinishedAt: mesaMoment(run.EndedAt),
	}
	if run.Status == cairn.SyncFailed {
		shown.Error = &run.Error
	}
	if run.Status == cairn.SyncSucceeded || run.IsOver() && len(run.Refs) > 0 {
		shown.Stats = &mesaSyncStats{[]mesaSyncRef{}}
		for _, ref := range run.Refs {
			shown.Stats.Refs = append(shown.Stats.Refs, newMesaSyncRef(ref))
		}
	}
	return shown
}

func newMesaSyncRef(ref cairn.SyncRef) mesaSyncRef {
	shown := mesaSyncRef{Name: ref.Name, After: ref.After.String(), Outcome: ref.Outcome}
	if before := ref.Before.String(); !ref.Before.IsZero() {
		shown.Before = &before
	}
	return shown
}

// mesaMoment is a time, null for none.
func mesaMoment(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	text := mesaTime(t)
	return &text
}
