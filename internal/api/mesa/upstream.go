package mesa

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/cairn-storage/cairn/internal/api"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/service"
)

// upstream is an upstream as this face shows it.
type upstream struct {
	URL        string            `json:"url"`
	AuthKind   *cairn.LoginKind  `json:"auth_kind"`
	LatestSync *service.MesaSync `json:"latest_sync"`
}

// showUpstream shows what a repository follows or exchanges refs with; nothing
// as null.
func showUpstream(link *service.UpstreamLink) *upstream {
	if link == nil {
		return nil
	}
	shown := &upstream{URL: link.URL}
	if link.Login != "" {
		shown.AuthKind = &link.Login
	}
	if link.Latest != nil {
		latest := service.NewMesaSync(*link.Latest)
		shown.LatestSync = &latest
	}
	return shown
}

// parseUpstream reads the upstream that a body gives a repository. A body
// without one keeps what there is, which is nil; null takes it away. Nothing of
// it comes into an error, as it holds secrets.
func parseUpstream(raw json.RawMessage) (*service.UpstreamChange, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	if string(raw) == "null" {
		return &service.UpstreamChange{}, nil
	}
	var body struct {
		URL  string          `json:"url"`
		Auth json.RawMessage `json:"auth"`
	}
	if err := json.Unmarshal(raw, &body); err != nil {
		return nil, cairn.Errorf(cairn.Invalid, "upstream is an object with url and auth, or null")
	}
	if body.URL == "" {
		return nil, cairn.Errorf(cairn.Invalid, "upstream: url is required")
	}
	login, err := parseLogin(body.Auth)
	return &service.UpstreamChange{URL: body.URL, Login: login}, err
}

// parseLogin reads a credential: none keeps what is stored, null clears it.
func parseLogin(raw json.RawMessage) (*service.UpstreamLogin, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	if string(raw) == "null" {
		return &service.UpstreamLogin{}, nil
	}
	var body struct {
		Kind          cairn.LoginKind `json:"kind"`
		Token         string          `json:"token"`
		TokenUsername string          `json:"token_username"`
		Username      string          `json:"username"`
		Password      string          `json:"password"`
	}
	if err := json.Unmarshal(raw, &body); err != nil {
		return nil, cairn.Errorf(cairn.Invalid, "upstream: auth is an object of texts, or null")
	}
	login := &service.UpstreamLogin{Kind: body.Kind}
	switch body.Kind {
	case cairn.TokenLogin:
		login.Username, login.Password = body.TokenUsername, body.Token
	case cairn.PasswordLogin:
		login.Username, login.Password = body.Username, body.Password
		if login.Username == "" {
			return nil, cairn.Errorf(cairn.Invalid, "upstream: auth has no username")
		}
	default:
		return nil, cairn.Errorf(cairn.Invalid, "upstream: kind of auth is token or username_password")
	}
	if login.Password == "" {
		return nil, cairn.Errorf(cairn.Invalid, "upstream: auth has no token or password")
	}
	return login, nil
}

func (f *face) requestSync(w http.ResponseWriter, in *request) error {
	body, err := api.Decode[struct {
		Direction cairn.SyncDirection `json:"direction"`
		Globs     *struct {
			Branches *string `json:"branches"`
			Tags     *string `json:"tags"`
		} `json:"ref_globs"`
	}](w, in.Request)
	if err != nil {
		return err
	}
	wanted := service.SyncRequest{Direction: body.Direction, Branches: service.AllRefs, Tags: service.AllRefs}
	if globs := body.Globs; globs != nil {
		if globs.Branches == nil && globs.Tags == nil {
			return cairn.Errorf(cairn.Invalid, "ref_globs has neither branches nor tags")
		}
		wanted.Branches, wanted.Tags = normalGlob(globs.Branches), normalGlob(globs.Tags)
	}
	run, err := f.service.RequestSync(in.Context(), in.who, in.repo, wanted)
	if err != nil {
		return err
	}
	return api.Write(w, http.StatusCreated, service.NewMesaSync(run))
}

// normalGlob is a glob as it is kept; none is one that matches nothing.
func normalGlob(glob *string) string {
	if glob == nil {
		return ""
	}
	return strings.TrimSpace(*glob)
}

func (f *face) listSyncs(w http.ResponseWriter, in *request) error {
	cursor, limit, err := in.page()
	if err != nil {
		return err
	}
	page, err := f.service.SyncRuns(in.Context(), in.who, in.repo, cursor, limit)
	if err != nil {
		return err
	}
	out := struct {
		pageMarks
		Syncs []service.MesaSync `json:"syncs"`
	}{marks(page.Next), make([]service.MesaSync, len(page.Runs))}
	for i, run := range page.Runs {
		out.Syncs[i] = service.NewMesaSync(run)
	}
	return api.Write(w, http.StatusOK, out)
}

func (f *face) sync(w http.ResponseWriter, in *request) error {
	run, err := f.service.SyncRun(in.Context(), in.who, in.repo, in.value("sync"))
	if err != nil {
		return err
	}
	return api.Write(w, http.StatusOK, service.NewMesaSync(run))
}
