package service

import (
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/odb"
)

// The types of events of cairn.MesaForm.
const (
	mesaRepoCreated     cairn.EventType = "repo.created"
	mesaRepoUpdated     cairn.EventType = "repo.updated"
	mesaRepoDeleted     cairn.EventType = "repo.deleted"
	mesaBookmarkCreated cairn.EventType = "bookmark.created"
	mesaBookmarkDeleted cairn.EventType = "bookmark.deleted"
	mesaBookmarkMoved   cairn.EventType = "bookmark.moved"
	mesaBookmarkMerged  cairn.EventType = "bookmark.merged"
	mesaChangeCreated   cairn.EventType = "change.created"
	mesaChangeEvolved   cairn.EventType = "change.evolved"
	mesaPush            cairn.EventType = "push"
)

// mesaWebhooks is the form of the Mesa API.
var mesaWebhooks = webhookForm{
	events: []cairn.EventType{
		mesaRepoCreated, mesaRepoUpdated, mesaRepoDeleted, mesaBookmarkCreated, mesaBookmarkDeleted, mesaBookmarkMoved, mesaBookmarkMerged,
		mesaChangeCreated, mesaChangeEvolved, mesaPush, mesaSyncQueued, mesaSyncInProgress, mesaSyncCompleted, mesaSyncFailed,
	},
	tell: func(a *announcement, w cairn.Webhook) ([]message, error) {
		m := mesaMessages{announcement: a, hook: w}
		err := m.tell()
		return m.list, err
	},
	header: func(_ cairn.Webhook, d cairn.Delivery, secret []byte, at time.Time) map[string]string {
		return map[string]string{
			"Content-Type":     "application/json",
			"User-Agent":       "Mesa-Webhook/1.0",
			"X-Mesa-Event":     string(d.Event),
			"X-Mesa-Delivery":  d.ID, // the same in every attempt
			"X-Mesa-Signature": timedSignature(secret, at, d.Payload),
		}
	},
}

// mesaMessages are what a webhook is told of something that happened.
type mesaMessages struct {
	*announcement
	hook cairn.Webhook
	list []message
}

// wants tells whether any of the events is asked for: what is not need not be
// found out.
func (m *mesaMessages) wants(events ...cairn.EventType) bool {
	return slices.ContainsFunc(events, func(e cairn.EventType) bool { return slices.Contains(m.hook.Events, e) })
}

func (m *mesaMessages) tell() error {
	switch what := m.what.(type) {
	case refsMoved:
		return m.refs(what)
	case repositoryEvent:
		return m.repository(what)
	case syncEvent:
		return m.sync(what.Run)
	}
	return nil
}

// The envelope of all events.
type (
	mesaEvent struct {
		ID           string           `json:"id"`
		Type         cairn.EventType  `json:"type"`
		OccurredAt   string           `json:"occurred_at"`
		Organization mesaOrganization `json:"organization"`
		Repository   mesaRepository   `json:"repository"`
		Data         any              `json:"data"`
	}
	mesaOrganization struct {
		ID   string                 `json:"id"`
		Slug cairn.OrganizationName `json:"slug"`
		Name cairn.OrganizationName `json:"name"`
	}
	mesaRepository struct {
		ID   string               `json:"id"`
		Name cairn.RepositoryName `json:"name"`
		URL  string               `json:"url"` // for Git
	}
)

// add tells of an event, if it is asked for. What is told once more, as the
// receiver asked for it or did not answer, has the same id.
func (m *mesaMessages) add(event cairn.EventType, data any) error {
	if !m.wants(event) {
		return nil
	}
	body, err := json.Marshal(mesaEvent{
		ID: "evt_" + cairn.NewID(), Type: event, OccurredAt: mesaTime(m.at),
		Organization: mesaOrganization{m.hook.Organization.Public(), m.hook.Customer, m.hook.Customer},
		Repository:   mesaRepository{m.repo.Repository.Public(), m.repo.Name, m.service.cloneURL(m.hook.Customer, m.repo.Name)},
		Data:         data,
	})
	m.list = append(m.list, message{event, body})
	return err
}

func mesaTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// What events tell of a repository.
type (
	mesaRepo struct {
		ID              string               `json:"id"`
		Name            cairn.RepositoryName `json:"name"`
		DefaultBookmark string               `json:"default_bookmark"`
		HeadChangeID    git.ChangeID         `json:"head_change_id"`
		CreatedAt       string               `json:"created_at"`
		Tags            cairn.Labels         `json:"tags"`
	}
	mesaRepoState struct {
		Name            cairn.RepositoryName `json:"name"`
		DefaultBookmark string               `json:"default_bookmark"`
		Tags            cairn.Labels         `json:"tags"`
	}
)

func newMesaRepoState(r cairn.Repository, l cairn.Labels) mesaRepoState {
	return mesaRepoState{r.Name, r.DefaultBranch.Short(), mesaTags(l)}
}

// mesaTags shows no labels as an empty object.
func mesaTags(l cairn.Labels) cairn.Labels {
	if l == nil {
		return cairn.Labels{}
	}
	return l
}

// repository tells what happened to a repository as a whole. With a new one comes
// its default bookmark, which is always there; of the others of a fork nothing is
// told. A change of what this form does not tell is none.
func (m *mesaMessages) repository(e repositoryEvent) error {
	if !m.wants(mesaRepoCreated, mesaRepoUpdated, mesaRepoDeleted, mesaBookmarkCreated) {
		return nil
	}
	head, err := m.head(e)
	if err != nil {
		return err
	}
	labels, err := m.tx.Repositories().Labels(m.repo.RepositoryKey)
	if err != nil {
		return err
	}
	type repo struct {
		Repo mesaRepo `json:"repo"`
	}
	shown := repo{mesaRepo{
		m.repo.Repository.Public(), m.repo.Name, m.repo.DefaultBranch.Short(), head.ID, mesaTime(m.repo.CreatedAt), mesaTags(labels),
	}}
	switch e.kind {
	case repositoryCreated, repositoryForked, repositoryRestored:
		if err := m.add(mesaRepoCreated, shown); err != nil {
			return err
		}
		return m.addBookmark(mesaBookmarkCreated, m.bookmark(m.repo.DefaultBranch, head))
	case repositoryDeleted:
		return m.add(mesaRepoDeleted, shown)
	}
	before, after := newMesaRepoState(e.before, e.labelsBefore), newMesaRepoState(m.repo, labels)
	if before.Name == after.Name && before.DefaultBookmark == after.DefaultBookmark && maps.Equal(before.Tags, after.Tags) {
		return nil
	}
	return m.add(mesaRepoUpdated, struct {
		repo
		Before mesaRepoState `json:"before"`
		After  mesaRepoState `json:"after"`
	}{shown, before, after})
}

// What events tell of a bookmark. One at the virtual root has a commit of zeros.
type (
	mesaPlace struct {
		ChangeID git.ChangeID `json:"change_id"`
		Commit   string       `json:"commit_oid"`
	}
	mesaBookmark struct {
		Name      string `json:"name"`
		IsDefault bool   `json:"is_default"`
		mesaPlace
	}
)

func (m *mesaMessages) place(at ChangeAt) mesaPlace {
	return mesaPlace{at.ID, fullID(m.repo, at.Commit)}
}

func (m *mesaMessages) bookmark(ref git.RefName, at ChangeAt) mesaBookmark {
	return mesaBookmark{ref.Short(), ref == m.repo.DefaultBranch, m.place(at)}
}

func (m *mesaMessages) addBookmark(event cairn.EventType, b mesaBookmark) error {
	return m.add(event, struct {
		Bookmark mesaBookmark `json:"bookmark"`
	}{b})
}

// refs tells of a write that moved refs: of the changes that it wrote, of the
// bookmarks that came, went and moved, and of the push that it was. Refs of the
// ephemeral namespace are no bookmarks, and are not told of.
func (m *mesaMessages) refs(what refsMoved) error {
	var later error // what has to be read for one is asked for with that of the others
	for _, tell := range []func(refsMoved) error{m.changes, m.bookmarks, m.push} {
		if err := tell(what); err != nil && later == nil {
			later = err
		}
	}
	return later
}

// mesaIdentity is an author or committer.
type mesaIdentity struct {
	Name  string `json:"name"`
	Email string `json:"email"`
	Date  string `json:"date"`
}

func newMesaIdentity(s git.Signature) mesaIdentity {
	return mesaIdentity{s.Name, s.Email, s.When.UTC().Format(time.RFC3339)}
}

// mesaChange is what events tell of a change.
type mesaChange struct {
	ID        git.ChangeID   `json:"id"`
	Commit    string         `json:"current_commit_oid"`
	Message   string         `json:"message"`
	Author    mesaIdentity   `json:"author"`
	Committer mesaIdentity   `json:"committer"`
	Parents   []git.ChangeID `json:"parents"`
	CreatedAt string         `json:"created_at"`
	UpdatedAt string         `json:"updated_at"`
}

// changes tells of the changes that an API wrote.
func (m *mesaMessages) changes(what refsMoved) error {
	if !what.isAboutChanges() || !m.wants(mesaChangeCreated, mesaChangeEvolved) {
		return nil
	}
	written, err := m.written(what)
	if err != nil {
		return err
	}
	for i, c := range written {
		evolution, err := m.tx.Changes().Of(m.repo.RepositoryKey, c.ID, maxEvolution)
		if err != nil {
			return err
		}
		c.date(evolution)
		shown := mesaChange{
			c.ID, c.Commit.String(), c.Message, newMesaIdentity(c.Author), newMesaIdentity(c.Committer), c.Parents, mesaTime(c.CreatedAt), mesaTime(c.UpdatedAt),
		}
		if previous := what.Written[i].Previous; !previous.IsZero() {
			err = m.add(mesaChangeEvolved, struct {
				Change   mesaChange `json:"change"`
				Previous string     `json:"previous_current_commit_oid"`
			}{shown, previous.String()})
		} else {
			err = m.add(mesaChangeCreated, struct {
				Change mesaChange `json:"change"`
			}{shown})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// bookmarks tells of the bookmarks that came, went and moved, and of a merge
// beside the move that it made.
func (m *mesaMessages) bookmarks(what refsMoved) error {
	if !m.wants(mesaBookmarkCreated, mesaBookmarkDeleted, mesaBookmarkMoved, mesaBookmarkMerged) {
		return nil
	}
	moves, err := m.bookmarkMoves(what)
	if err != nil {
		return err
	}
	ids, err := m.ids(what, moves)
	if err != nil {
		return err
	}
	for _, b := range moves {
		before, after := ChangeAt{ids[b.before.commit], b.before.commit}, ChangeAt{ids[b.after.commit], b.after.commit}
		shown := m.bookmark(b.ref, after)
		switch {
		case !b.before.there && b.after.there:
			err = m.addBookmark(mesaBookmarkCreated, shown)
		case b.before.there && !b.after.there:
			err = m.addBookmark(mesaBookmarkDeleted, m.bookmark(b.ref, before))
		case b.before.commit != b.after.commit:
			err = m.add(mesaBookmarkMoved, struct {
				Bookmark mesaBookmark `json:"bookmark"`
				From     mesaPlace    `json:"from"`
			}{shown, m.place(before)})
		}
		if err == nil && b.ref == what.Merged {
			err = m.addBookmark(mesaBookmarkMerged, shown)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// mesaUpdate is what a push did to a ref. What is no branch is no bookmark.
type mesaUpdate struct {
	Ref      git.RefName `json:"ref"`
	Bookmark string      `json:"bookmark"`
	Before   *string     `json:"before"` // null: it was not there
	After    *string     `json:"after"`  // null: it is gone
	Action   string      `json:"action"`
}

func newMesaUpdate(u cairn.RefUpdate) mesaUpdate {
	out := mesaUpdate{Ref: u.Name, Action: "updated"}
	if u.Name.IsBranch() {
		out.Bookmark = u.Name.Short()
	}
	if before := u.Old.String(); !u.Old.IsZero() {
		out.Before = &before
	} else {
		out.Action = "created"
	}
	if after := u.New.String(); !u.New.IsZero() {
		out.After = &after
	} else {
		out.Action = "deleted"
	}
	return out
}

// push tells of a push by Git.
func (m *mesaMessages) push(what refsMoved) error {
	if !what.Pushed || !m.wants(mesaPush) {
		return nil
	}
	updates := []mesaUpdate{}
	for _, u := range what.Updates {
		if odb.NormalView.Shows(u.Name) {
			updates = append(updates, newMesaUpdate(u))
		}
	}
	if len(updates) == 0 {
		return nil
	}
	counts, err := m.reconciliation(what)
	if err != nil {
		return err
	}
	return m.add(mesaPush, struct {
		Updates        []mesaUpdate   `json:"updates"`
		Reconciliation reconciliation `json:"reconciliation"`
	}{updates, counts})
}
