package gogs

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http/httptest"
	"testing"
	"unicode/utf8"
)

// FuzzBody binds bodies of every kind to what requests hold: the result is
// fields, or a list of what is wrong with a status of this API, and its checks
// end.
func FuzzBody(f *testing.F) {
	for _, kind := range []string{"application/json", "application/x-www-form-urlencoded", "application/json; charset=utf-8", "text/yaml", ";", ""} {
		for _, body := range []string{
			`{"name":"a","private":true,"uid":1}`, `{`, ``, `null`, `[]`, `"x"`, `{"name":1}`, "name=a&private=on&uid=1", "uid=x", "uid=99999999999999999999", "%zz", "name=%00%ff",
			`{"config":{"url":"x"},"events":["push"],"active":true}`,
		} {
			f.Add(kind, []byte(body))
		}
	}
	f.Fuzz(func(t *testing.T, kind string, body []byte) {
		made := bound[newRepository](t, kind, body)
		_ = made.check()
		if _, err := startFiles(made); err != nil {
			var p *problem
			if !errors.As(err, &p) {
				t.Errorf("%q: %v", body, err)
			}
		}
		migrated := bound[migration](t, kind, body)
		_ = migrated.check()
		_ = bound[hookBody](t, kind, body).events()
	})
}

func bound[T any](t *testing.T, kind string, body []byte) T {
	r := httptest.NewRequest("POST", prefix+"user/repos", bytes.NewReader(body))
	r.Header["Content-Type"] = []string{kind}
	value, err := bind[T](httptest.NewRecorder(), &request{Request: r})
	var fields *fieldProblems
	if err != nil && (!errors.As(err, &fields) || fields.status != 400 && fields.status != 415) {
		t.Errorf("%q %q: %v", kind, body, err)
	}
	if text, err := json.Marshal(value); err != nil || !utf8.Valid(text) {
		t.Errorf("%q %q: %v", kind, body, err)
	}
	return value
}
