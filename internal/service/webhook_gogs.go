package service

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"strings"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/git/graph"
	"github.com/cairn-storage/cairn/internal/odb"
)

// The types of events of cairn.GogsForm.
const (
	GogsCreate cairn.EventType = "create"
	GogsDelete cairn.EventType = "delete"
	GogsPush   cairn.EventType = "push"
)

// The options of a webhook of cairn.GogsForm.
const (
	// GogsContentType is "form" or "json".
	GogsContentType = "content_type"
	// GogsUnsigned says that the receiver has no secret.
	GogsUnsigned = "unsigned"
)

// gogsWebhooks is the form of the API of Gogs.
var gogsWebhooks = webhookForm{
	events: []cairn.EventType{GogsCreate, GogsDelete, GogsPush},
	tell: func(a *announcement, w cairn.Webhook) ([]message, error) {
		what, ok := a.what.(refsMoved)
		if !ok {
			return nil, nil
		}
		m := gogsMessages{announcement: a, hook: w}
		err := m.refs(what)
		return m.list, err
	},
	ping:   func(cairn.Webhook) (message, error) { return message{cairn.PingEvent, []byte("{}")}, nil },
	header: gogsHeader,
}

// gogsHeader signs the payload itself, also where it travels in a form.
func gogsHeader(w cairn.Webhook, d cairn.Delivery, secret []byte, _ time.Time) map[string]string {
	payload, kind := d.Payload, "application/json"
	if form, ok := bytes.CutPrefix(payload, []byte(gogsFormField)); ok {
		kind = "application/x-www-form-urlencoded"
		if text, err := url.QueryUnescape(string(form)); err == nil {
			payload = []byte(text)
		}
	}
	signature := ""
	if w.Options[GogsUnsigned] == "" {
		mac := hmac.New(sha256.New, secret)
		mac.Write(payload)
		signature = hex.EncodeToString(mac.Sum(nil))
	}
	id := sha256.Sum256([]byte(d.ID)) // the same in every attempt
	text := hex.EncodeToString(id[:16])
	delivery := strings.Join([]string{text[:8], text[8:12], text[12:16], text[16:20], text[20:]}, "-")
	return map[string]string{
		"Content-Type":     kind,
		"User-Agent":       "GogsServer",
		"X-Gogs-Delivery":  delivery,
		"X-Gogs-Event":     string(d.Event),
		"X-Gogs-Signature": signature,
		"X-Github-Event":   string(d.Event), "X-Github-Delivery": delivery,
	}
}

const gogsFormField = "payload="

// What payloads hold.
type (
	gogsUser struct {
		ID        int64  `json:"id"`
		UserName  string `json:"username"`
		Login     string `json:"login"`
		FullName  string `json:"full_name"`
		Email     string `json:"email"`
		AvatarURL string `json:"avatar_url"`
	}
	gogsRepository struct {
		ID            int64           `json:"id"`
		Owner         gogsUser        `json:"owner"`
		Name          string          `json:"name"`
		FullName      string          `json:"full_name"`
		Description   string          `json:"description"`
		Private       bool            `json:"private"`
		Fork          bool            `json:"fork"`
		Parent        *gogsRepository `json:"parent"`
		Empty         bool            `json:"empty"`
		Mirror        bool            `json:"mirror"`
		Size          int64           `json:"size"`
		HTMLURL       string          `json:"html_url"`
		SSHURL        string          `json:"ssh_url"`
		CloneURL      string          `json:"clone_url"`
		Website       string          `json:"website"`
		Stars         int             `json:"stars_count"`
		Forks         int             `json:"forks_count"`
		Watchers      int             `json:"watchers_count"`
		OpenIssues    int             `json:"open_issues_count"`
		DefaultBranch string          `json:"default_branch"`
		CreatedAt     time.Time       `json:"created_at"`
		UpdatedAt     time.Time       `json:"updated_at"`
	}
	gogsPerson struct {
		Name     string `json:"name"`
		Email    string `json:"email"`
		UserName string `json:"username"`
	}
	gogsCommit struct {
		ID        string     `json:"id"`
		Message   string     `json:"message"`
		URL       string     `json:"url"`
		Author    gogsPerson `json:"author"`
		Committer gogsPerson `json:"committer"`
		Added     []string   `json:"added"`
		Removed   []string   `json:"removed"`
		Modified  []string   `json:"modified"`
		Timestamp time.Time  `json:"timestamp"`
	}
)

// gogsMessages are what a webhook is told of something that happened.
type gogsMessages struct {
	*announcement
	hook   cairn.Webhook
	list   []message
	shown  gogsRepository
	sender gogsUser
}

// refs tells of branches and tags: of those that came and went, and of what was
// pushed to branches. A tag that moved is not told of.
func (m *gogsMessages) refs(what refsMoved) error {
	if err := m.about(what.Who); err != nil {
		return err
	}
	var later error // what has to be read for one is asked for with that of the others
	for _, u := range what.Updates {
		if !odb.NormalView.Shows(u.Name) || !u.Name.IsBranch() && !u.Name.IsTag() {
			continue
		}
		if err := m.ref(what, u); err != nil {
			later = err
		}
	}
	return later
}

func (m *gogsMessages) ref(what refsMoved, u cairn.RefUpdate) error {
	kind, sha := "branch", ""
	if u.Name.IsTag() {
		kind, sha = "tag", u.New.String()
	}
	if u.New.IsZero() {
		return m.add(GogsDelete, struct {
			Ref        string         `json:"ref"`
			RefType    string         `json:"ref_type"`
			PusherType string         `json:"pusher_type"`
			Repository gogsRepository `json:"repository"`
			Sender     gogsUser       `json:"sender"`
		}{u.Name.Short(), kind, "user", m.shown, m.sender})
	}
	if u.Old.IsZero() {
		err := m.add(GogsCreate, struct {
			Ref           string         `json:"ref"`
			RefType       string         `json:"ref_type"`
			SHA           string         `json:"sha"`
			DefaultBranch string         `json:"default_branch"`
			Repository    gogsRepository `json:"repository"`
			Sender        gogsUser       `json:"sender"`
		}{u.Name.Short(), kind, sha, m.repo.DefaultBranch.Short(), m.shown, m.sender})
		if err != nil {
			return err
		}
	}
	if u.Name.IsTag() {
		return nil
	}
	return m.push(what, u)
}

// maxGogsCommits is how many commits of a push are told.
const maxGogsCommits = 5

func (m *gogsMessages) push(what refsMoved, u cairn.RefUpdate) error {
	type key struct{ old, new git.ObjectID }
	news, err := fact(m.facts, key{u.Old, u.New}, func(ctx context.Context) ([]Commit, error) {
		return newCommits(ctx, what.History, u, maxGogsCommits)
	})
	if err != nil {
		return err
	}
	commits, err := m.commits(news)
	if err != nil {
		return err
	}
	compare := ""
	if !u.Old.IsZero() {
		compare = m.shown.HTMLURL + "/compare/" + u.Old.String() + "..." + u.New.String()
	}
	return m.add(GogsPush, struct {
		Ref        string         `json:"ref"`
		Before     string         `json:"before"`
		After      string         `json:"after"`
		CompareURL string         `json:"compare_url"`
		Commits    []gogsCommit   `json:"commits"`
		Repository gogsRepository `json:"repository"`
		Pusher     gogsUser       `json:"pusher"`
		Sender     gogsUser       `json:"sender"`
	}{string(u.Name), fullID(m.repo, u.Old), fullID(m.repo, u.New), compare, commits, m.shown, m.sender, m.sender})
}

// newCommits are the newest commits that a branch has and had not before.
func newCommits(ctx context.Context, h history, u cairn.RefUpdate, most int) (list []Commit, err error) {
	var before []git.ObjectID
	if !u.Old.IsZero() {
		before = append(before, u.Old)
	}
	walk := graph.NewWalk(h, []git.ObjectID{u.New}, before)
	for len(list) < most {
		id, _, more, err := walk.Next(ctx)
		if err != nil || !more {
			return list, err
		}
		c, err := h.FullCommit(ctx, id)
		if err != nil {
			return nil, err
		}
		list = append(list, newCommit(id, c))
	}
	return list, nil
}

func (m *gogsMessages) commits(news []Commit) ([]gogsCommit, error) {
	var emails []string
	for _, c := range news {
		emails = append(emails, c.Author.Email, c.Committer.Email)
	}
	known, err := m.tx.Accounts().WithEmails(emails)
	if err != nil {
		return nil, err
	}
	person := func(s git.Signature) gogsPerson {
		p := gogsPerson{Name: s.Name, Email: s.Email}
		for _, a := range known {
			if strings.EqualFold(a.Email, s.Email) {
				p.UserName = a.Shown()
			}
		}
		return p
	}
	list := make([]gogsCommit, len(news))
	for i, c := range news {
		list[i] = gogsCommit{
			ID: c.ID.String(), Message: c.Message + "\n", URL: m.shown.HTMLURL + "/commit/" + c.ID.String(),
			Author: person(c.Author), Committer: person(c.Committer), Timestamp: c.Author.When,
		}
	}
	return list, nil
}

// about finds what every message says: the repository, and who did it.
func (m *gogsMessages) about(who cairn.Actor) error {
	infos, err := repositoryInfos(m.tx, Login{}, []cairn.Repository{m.repo})
	if err != nil {
		return err
	}
	info := infos[0]
	if info.Number == 0 {
		if info.Number, err = m.tx.Numbers().Give(cairn.NumberedRepository(info.RepositoryKey)); err != nil {
			return err
		}
	}
	full := info.Owner.Shown() + "/" + string(info.Name)
	home := m.service.externalURL + "/" + full
	m.shown = gogsRepository{
		ID: int64(info.Number), Owner: m.user(info.Owner), Name: string(info.Name), FullName: full, Description: info.Description, Private: !info.Public,
		Fork: info.Parent != "", Mirror: info.Upstream.Follows() && !info.Upstream.Once, Size: info.Size, HTMLURL: home, CloneURL: home + ".git", Forks: info.Forks,
		DefaultBranch: info.DefaultBranch.Short(), CreatedAt: info.CreatedAt.Truncate(time.Second), UpdatedAt: m.at.Truncate(time.Second),
	}
	m.sender = gogsUser{UserName: who.Name, Login: who.Name, FullName: who.Name}
	if who.User == "" {
		return nil
	}
	found, err := m.tx.Accounts().Get([]cairn.OrganizationID{cairn.OrganizationID(who.User)})
	if err == nil && len(found) > 0 {
		m.sender = m.user(found[0])
		m.sender.Email = found[0].Email
	}
	return err
}

func (m *gogsMessages) user(a cairn.Account) gogsUser {
	return gogsUser{ID: int64(a.Number), UserName: a.Shown(), Login: a.Shown(), FullName: a.FullName, AvatarURL: m.service.externalURL + "/" + string(a.Name)}
}

// add tells of an event, as the receiver reads it.
func (m *gogsMessages) add(event cairn.EventType, payload any) error {
	body, err := json.MarshalIndent(payload, "", "  ")
	if err == nil && m.hook.Options[GogsContentType] == "form" {
		body = []byte(gogsFormField + url.QueryEscape(string(body)))
	}
	m.list = append(m.list, message{event, body})
	return err
}
