package service

import (
	"net/url"
	"strings"
	"testing"
)

// FuzzCloneAddress holds what is called to what was written: the same host, and
// a path without anything that means something else.
func FuzzCloneAddress(f *testing.F) {
	for _, address := range []string{
		"https://git.example/team/app.git", "http://git.example/group/sub/app", "https://user:secret@git.example/a/b", "file:///srv/a/b.git", "/srv/a/b",
		"ext::sh -c id", "git@host:a/b", "https://git.example/a%2f..%2f/b", "https://git.example/../a/b", "https://[::1]/a/b", "https://git.example:22/a/b",
		"https://git.example/-a/b", "https://git.example/a/b?c", "https://git.example\\@other.example/a/b", "https://git.example/a/b\n", "//git.example/a/b",
	} {
		f.Add(address)
	}
	s := &Service{}
	f.Fuzz(func(t *testing.T, address string) {
		in, err := ParseCloneAddress(address)
		if err != nil {
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the error for %q is %v", address, err)
			}
			return
		}
		upstream, err := s.parseUpstream(in)
		if err != nil {
			return
		}
		text := s.upstreamURL(upstream)
		called, err := url.Parse(text)
		if err != nil {
			t.Fatalf("%q is called at %q: %v", address, text, err)
		}
		want := "/" + upstream.Owner + "/" + upstream.Name + ".git"
		if called.Scheme != "https" || called.User != nil || called.Path != want || called.RawPath != "" || called.RawQuery != "" || called.Fragment != "" || called.Port() != "" {
			t.Errorf("%q is called at %q", address, text)
		}
		if written, err := url.Parse(address); err != nil || !strings.EqualFold(written.Host, called.Host) || !strings.HasPrefix(strings.TrimSuffix(strings.Trim(written.Path, "/"), ".git")+".git", want[1:]) {
			t.Errorf("%q is called at %q", address, text)
		}
	})
}
