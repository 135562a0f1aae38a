package githttp_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/cairn-storage/cairn/internal/git/protocol"
	"github.com/cairn-storage/cairn/internal/gittest"
)

// idLines are the ways in which a Git client names an object or a ref: for
// each field of protocol.Limits, which bounds them all, requests with {id} and
// {main}, the id of the branch main.
var idLines = map[string][]struct {
	name    string
	push    bool
	version int
	lines   []string
}{
	"Wants": {
		{name: "want, version 0", lines: []string{"want {id} side-band-64k ofs-delta\n", "0000", "done\n"}},
		{name: "want beside a good one, version 0", lines: []string{"want {main} side-band-64k\n", "want {id}\n", "0000", "done\n"}},
		{name: "want", version: 2, lines: []string{"command=fetch", "0001", "want {id}\n", "done\n", "0000"}},
		{name: "want with a filter", version: 2, lines: []string{"command=fetch", "0001", "want {id}\n", "filter blob:none\n", "done\n", "0000"}},
	},
	"WantRefs": {{name: "want-ref", version: 2, lines: []string{"command=fetch", "0001", "want-ref {id}\n", "done\n", "0000"}}},
	"Haves": {
		{name: "have, version 0", lines: []string{"want {main} multi_ack_detailed side-band-64k thin-pack ofs-delta no-progress\n", "0000", "have {id}\n", "0000", "done\n"}},
		{name: "have", version: 2, lines: []string{"command=fetch", "0001", "want {main}\n", "have {id}\n", "0000"}},
		{name: "have and done", version: 2, lines: []string{"command=fetch", "0001", "thin-pack", "no-progress", "ofs-delta", "want {main}\n", "have {id}\n", "done\n", "0000"}},
	},
	"Shallow": {
		{name: "shallow", version: 2, lines: []string{"command=fetch", "0001", "no-progress", "want {main}\n", "shallow {id}\n", "deepen 1\n", "done\n", "0000"}},
		{name: "shallow of a push", push: true, lines: []string{"shallow {id}", zero + " {id} refs/heads/grab\x00 report-status", "0000"}},
	},
	"DeepenNot": {{name: "deepen-not", version: 2, lines: []string{"command=fetch", "0001", "want {main}\n", "deepen-not {id}\n", "done\n", "0000"}}},
	"Prefixes":  {{name: "ref-prefix", version: 2, lines: []string{"command=ls-refs", "0001", "ref-prefix {id}\n", "0000"}}},
	"ObjectInfo": {
		{name: "object-info", version: 2, lines: []string{"command=object-info", "0001", "size\n", "oid {id}\n", "0000"}},
	},
	"Filters": {{name: "sparse filter", version: 2, lines: []string{"command=fetch", "0001", "want {main}\n", "filter sparse:oid={id}\n", "done\n", "0000"}}},
	"Commands": {
		{name: "ref to it", push: true, lines: []string{zero + " {id} refs/heads/grab\x00 report-status", "0000"}},
		{name: "tag of it", push: true, lines: []string{zero + " {id} refs/tags/grab\x00 report-status", "0000"}},
		{name: "move to it", push: true, lines: []string{"{main} {id} refs/heads/main\x00 report-status", "0000"}},
		{name: "move from it", push: true, lines: []string{"{id} {main} refs/heads/main\x00 report-status", "0000"}},
		{name: "deletion of it", push: true, lines: []string{"{id} " + zero + " refs/heads/main\x00 report-status delete-refs", "0000"}},
		{name: "ref named like it", push: true, lines: []string{"{id} " + zero + " refs/heads/{id}\x00 report-status delete-refs", "0000"}},
	},
	// These hold no ids.
	"ServerOptions": nil, "PushOptions": nil, "PushOptionLength": nil, "RefNameLength": nil,
}

// TestForeignObjectsAreLikeAbsentOnes names objects of forks, parents, deleted
// branches and hidden namespaces in every part of a request, and ones that
// nobody has. The answers must be the same.
func TestForeignObjectsAreLikeAbsentOnes(t *testing.T) {
	t.Parallel()
	for field := range reflect.TypeFor[protocol.Limits]().Fields() {
		if _, ok := idLines[field.Name]; !ok {
			t.Errorf("%s of a request: how does it name objects? It must answer for those of other repositories as for absent ones", field.Name)
		}
	}
	s := start(t)
	local, secrets := foreign(t, s)
	own := local.Commit("own", "of the fork alone", gittest.Files{"own": "x"})
	must(t, local.Dir, "push", s.remote("fork", ""), "own")
	_, key, hidden := secretHistory(t, s, "hidden")
	s.setRef(key, "refs/heads/secret", "")
	s.setRef(key, "refs/namespaces/ephemeral/refs/heads/secret", hidden[0])
	_, key, deleted := secretHistory(t, s, "deleted")
	s.setRef(key, "refs/heads/secret", "")
	cases := map[string][]string{"fork": secrets, "parent": {own}, "deleted": deleted, "hidden": hidden}
	for repo, ids := range cases {
		main := remoteRefs(t, s.remote(repo, ""))["refs/heads/main"]
		for _, requests := range idLines {
			for _, r := range requests {
				for i, id := range ids {
					if repo == "hidden" && r.push {
						continue // what the ephemeral namespace has may be promoted
					}
					ask := func(id string) string {
						texts := make([]string, len(r.lines))
						for i, text := range r.lines {
							texts[i] = strings.NewReplacer("{id}", id, "{main}", main).Replace(text)
						}
						body, service := lines(texts...), "git-upload-pack"
						if r.push {
							body, service = body+string(packOf(t, local)), "git-receive-pack"
						}
						status, answer := s.post(repo+".git", service, s.token(repo), strings.NewReader(body), "Git-Protocol", fmt.Sprint("version=", r.version))
						return fmt.Sprint(status, " ", strings.ReplaceAll(answer, id, "ID"))
					}
					absent := strings.Repeat("12", 20)
					if want, got := ask(absent), ask(id); got != want {
						t.Errorf("%s: %s of object %d: %.300q; of an absent one %.300q", repo, r.name, i, got, want)
					}
				}
			}
		}
	}
}
