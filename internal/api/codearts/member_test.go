package codearts_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/service"
)

// members lists the members as "name role", in order.
func (w *world) members(t *testing.T, uuid, query string) string {
	t.Helper()
	var list struct {
		Users []struct {
			Name string
			Role int
		}
		Total int
	}
	w.must(t, "GET", "/v1/repositories/"+uuid+"/members"+query, "", &list)
	shown := make([]string, len(list.Users))
	for i, u := range list.Users {
		shown[i] = fmt.Sprint(u.Name, " ", u.Role)
	}
	return fmt.Sprint(strings.Join(shown, ", "), " of ", list.Total)
}

// TestMembers goes through what becomes of members.
func TestMembers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	uuid := w.create(t, "app")
	place := "/v1/repositories/" + uuid + "/members"
	bea, cy := w.newUser(t, "bea"), w.newUser(t, "cy")
	if got := w.members(t, uuid, ""); got != " of 0" {
		t.Errorf("at first: %s", got)
	}
	var added []struct{ ID, Name, Status, Message string }
	w.must(t, "POST", place, `{"users":[{"id":"Bea","name":"Bea","role":"20"},{"id":"`+string(cy.ID)+`","name":"cy","role":40},{"id":"no","name":"no","role":20}]}`, &added)
	if len(added) != 3 || added[0].Status != "success" || added[1].Status != "success" || added[2].Status != "failed" || added[2].Message == "" {
		t.Fatalf("added: %+v", added)
	}
	for query, want := range map[string]string{
		"": "bea 20, cy 40 of 2", "?page_index=2&page_size=1": "cy 40 of 2", "?page_index=3": " of 2",
		"?subject=B": "bea 20 of 1", "?subject=cy%40EXAMPLE": "cy 40 of 1", "?subject=x%40": " of 0",
	} {
		if got := w.members(t, uuid, query); got != want {
			t.Errorf("%q: got %s, want %s", query, got, want)
		}
	}
	beaID := added[0].ID
	w.must(t, "PUT", place+"/"+beaID, `{"role":"30"}`, nil)
	w.must(t, "PUT", place+"/Cy", `{"role":20}`, nil)
	if got := w.members(t, uuid, ""); got != "bea 30, cy 20 of 2" {
		t.Errorf("with other roles: %s", got)
	}
	w.must(t, "DELETE", place+"/"+beaID, "", nil)
	if got := w.members(t, uuid, ""); got != "cy 20 of 1" {
		t.Errorf("without bea: %s", got)
	}
	// Who is no member is not made one by a change.
	for _, method := range []string{"PUT", "DELETE"} {
		if a := w.call(t, w.token(t, w.key), method, place+"/"+beaID, `{"role":20}`); a.status != http.StatusNotFound || a.code() != "CH.000404" {
			t.Errorf("%s of who is no member: got %d %s", method, a.status, a.text)
		}
	}
	w.must(t, "POST", place, `{"users":[{"id":"`+beaID+`","name":"`+string(bea.Name)+`","role":30}]}`, nil)
	if got := w.members(t, uuid, ""); got != "bea 30, cy 20 of 2" {
		t.Errorf("with bea again: %s", got)
	}
}

// TestWrongMembers: nothing but the three roles is given, and to nobody else
// than was named.
func TestWrongMembers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	uuid := w.create(t, "app")
	place := "/v1/repositories/" + uuid + "/members"
	w.newUser(t, "bea")
	cy := w.newUser(t, "cy")
	for users, code := range map[string]string{
		"":                                      "CH.010001",
		`{"id":"no","name":"no","role":20}`:     "CH.010112",
		`{"id":"bea","name":"bea"}`:             "CH.010001",
		`{"id":"bea","name":"bea","role":50}`:   "CH.010001",
		`{"id":"bea","name":"bea","role":0}`:    "CH.010001",
		`{"id":"bea","name":"bea","role":null}`: "CH.010001",
		`{"id":"cy","name":"cy","role":20},{"name":"bea","role":10}`:                                        "CH.010001",
		`{"id":"` + string(cy.ID) + `","name":"bea","role":20}`:                                             "CH.010001",
		`{"id":"","name":"bea","role":20}`:                                                                  "CH.010001",
		strings.Repeat(`{"id":"bea","name":"bea","role":20},`, 100) + `{"id":"bea","name":"bea","role":20}`: "CH.010001",
	} {
		if a := w.call(t, w.token(t, w.key), "POST", place, `{"users":[`+users+`]}`); a.code() != code {
			t.Errorf("%s: got %d %s", users, a.status, a.text)
		}
	}
	if got := w.members(t, uuid, ""); got != " of 0" {
		t.Errorf("there are members: %s", got)
	}
}

// TestMembersAreNoOracle: who may not say who is a member learns neither who is
// one nor which users there are.
func TestMembersAreNoOracle(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	place := "/v1/repositories/" + w.create(t, "app") + "/members"
	w.newUser(t, "bea")
	w.newUser(t, "cy")
	w.must(t, "POST", place, `{"users":[{"id":"bea","name":"bea","role":20}]}`, nil)
	writer := w.token(t, w.newKey(t, "acme", service.NewAccessKey{Scopes: []cairn.Scope{cairn.GitWrite}}))
	var texts []string
	for _, name := range []string{"bea", "cy", "absent"} {
		for _, a := range []answer{
			w.call(t, writer, "POST", place, `{"users":[{"id":"`+name+`","name":"`+name+`","role":20}]}`),
			w.call(t, writer, "PUT", place+"/"+name, `{"role":40}`),
			w.call(t, writer, "DELETE", place+"/"+name, ""),
			w.call(t, writer, "GET", place+"?subject="+name, ""),
		} {
			if a.status != http.StatusUnauthorized || a.Error.Code != "CH.080401" {
				t.Errorf("%s: got %d %s", name, a.status, a.text)
			}
			texts = append(texts, a.text)
		}
	}
	if texts = slices.Compact(texts); len(texts) != 1 {
		t.Errorf("the answers differ: %q", texts)
	}
}

// TestImportMembers takes the members of a project over, and refuses a code
// group that is not there.
func TestImportMembers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.newUser(t, "bea")
	who, err := w.service.Operator(t.Context(), operator, "acme")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.service.SetProjectMember(t.Context(), who, cairn.ProjectID(w.project), "bea", cairn.WriterRole); err != nil {
		t.Fatal(err)
	}
	first := w.create(t, "first")
	for name, c := range map[string]struct{ more, want string }{
		"without": {`"import_members":0`, " of 0"}, "empty": {`"import_members":1`, "bea 30 of 1"},
		"begun":    {`"import_members":"1","enable_readme":1,"group_id":0`, "bea 30 of 1"},
		"template": {`"import_members":1,"template_id":"` + first + `","description":"d","visibility_level":20`, "bea 30 of 1"},
	} {
		var made struct {
			UUID string `json:"repository_uuid"`
		}
		w.must(t, "POST", "/v1/repositories", `{"name":"`+name+`","project_uuid":"`+w.project+`",`+c.more+`}`, &made)
		if got := w.members(t, made.UUID, ""); got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
		var shown struct {
			Visibility int `json:"visibility_level"`
		}
		w.must(t, "GET", "/v2/repositories/"+made.UUID, "", &shown)
		if want := map[bool]int{true: 20}[name == "template"]; shown.Visibility != want {
			t.Errorf("%s: visibility_level is %d, want %d", name, shown.Visibility, want)
		}
	}
	a := w.call(t, w.token(t, w.key), "POST", "/v1/repositories", `{"name":"grouped","project_uuid":"`+w.project+`","group_id":7}`)
	if a.status != http.StatusBadRequest || a.code() != "CH.010001" || !strings.Contains(a.text, "code group") {
		t.Errorf("a code group: got %d %s", a.status, a.text)
	}
}
