package config

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

func load(t *testing.T, file string, environ map[string]string, args ...string) (Config, error) {
	t.Helper()
	path := ""
	if file != "" {
		path = filepath.Join(t.TempDir(), "cairn.yaml")
		if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	set := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	flags := Bind(set)
	if err := set.Parse(args); err != nil {
		return Config{}, err
	}
	return Load(path, func(name string) (string, bool) { v, ok := environ[name]; return v, ok }, flags)
}

func TestFlagsWinOverEnvironmentOverFile(t *testing.T) {
	t.Parallel()
	file := "listen: 127.0.0.1:1\ndata: from-file\ngrace: 5m\negress-allow: [10.1.2.3/8, 192.168.0.0/16]\ncache-size: 1GiB\n"
	environ := map[string]string{"CAIRN_LISTEN": "127.0.0.1:2", "CAIRN_DATA": "from-environment"}
	c, err := load(t, file, environ, "--listen", "127.0.0.1:3", "--tls-self-signed")
	if err != nil {
		t.Fatal(err)
	}
	if c.Listen != "127.0.0.1:3" || c.Data != "from-environment" || c.Grace != 5*time.Minute || !c.TLSSelfSigned || c.CacheSize != 1<<30 {
		t.Errorf("got %+v", c)
	}
	if got := len(c.EgressAllow); got != 2 || c.EgressAllow[0].String() != "10.0.0.0/8" {
		t.Errorf("egress-allow is %v", c.EgressAllow)
	}
	if c.IdleTimeout != 2*time.Minute {
		t.Errorf("idle-timeout is %s, want its default", c.IdleTimeout)
	}
}

func TestRefusedSettings(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, file string
		environ    map[string]string
		args       []string
		want       string
	}{
		{"unknown key in the file", "lisen: x\n", nil, nil, `no setting "lisen"`},
		{"key twice in the file", "data: a\ndata: b\n", nil, nil, "data"},
		{"mapping for a value", "data: {a: b}\n", nil, nil, "neither a scalar"},
		{"no mapping", "- a\n", nil, nil, "configuration file"},
		{"size without sense", "", nil, []string{"--cache-size", "many"}, "not a size"},
		{"size too large", "cache-size: 9999999999TiB\n", nil, nil, "not a size"},
		{"negative time", "", map[string]string{"CAIRN_GRACE": "-1s"}, nil, "CAIRN_GRACE"},
		{"zero limit", "max-requests: 0\n", nil, nil, "greater than zero"},
		{"listener without port", "listen: localhost\n", nil, nil, "not an address"},
		{"certificate without key", "tls-cert: a.pem\n", nil, nil, "go together"},
		{"two kinds of TLS", "", nil, []string{"--tls-cert=a", "--tls-key=b", "--tls-self-signed"}, "exclude"},
		{"external URL with a password", "external-url: https://a:b@example.com\n", nil, nil, "external-url"},
		{"address range", "egress-allow: everything\n", nil, nil, "not an address range"},
		{"log format", "log-format: xml\n", nil, nil, "neither text nor json"},
		{"bool", "tls-self-signed: 12\n", nil, nil, "neither true nor false"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := load(t, c.file, c.environ, c.args...)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got the error %v, want one with %q", err, c.want)
			}
		})
	}
}

func TestPrintedConfigurationLoadsAgain(t *testing.T) {
	t.Parallel()
	before, err := load(t, "", nil, "--data", "it's: \"odd\" #dir", "--egress-allow", "10.0.0.0/8,fd00::/8", "--inline-limit", "0x", "--grace", "1h1s")
	if err == nil {
		t.Fatal("an odd size was taken")
	}
	before, err = load(t, "", nil, "--data", "it's: \"odd\" #dir", "--egress-allow", "10.0.0.0/8,fd00::/8", "--grace", "1h1s", "--admin-token", "hush")
	if err != nil {
		t.Fatal(err)
	}
	var printed bytes.Buffer
	if err := before.Print(&printed); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(printed.String(), "hush") {
		t.Error("the admin token is printed")
	}
	after, err := load(t, printed.String(), nil)
	if err != nil {
		t.Fatalf("%v in:\n%s", err, printed.String())
	}
	after.AdminToken = before.AdminToken
	for i, s := range after.settings() {
		if got, want := s.String(), before.settings()[i].String(); got != want {
			t.Errorf("%s is %q after printing, was %q", s.name, got, want)
		}
	}
}

func TestEverySettingIsDocumented(t *testing.T) {
	t.Parallel()
	c := Default()
	for _, s := range c.settings() {
		if s.name == "" || s.help == "" {
			t.Errorf("a field lacks its name or its meaning: %+v", s)
		}
	}
}

func FuzzConfigFile(f *testing.F) {
	f.Add([]byte("listen: 127.0.0.1:1\n"))
	f.Add([]byte("{data: [a, 1, true], cache-size: 12}"))
	f.Add([]byte("a: &a [*a]"))
	f.Add([]byte("egress-allow: 10.0.0.0/8\ngrace: .inf"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c := Default()
		if c.parseFile(data) == nil {
			_ = c.check()
			_ = c.Print(&bytes.Buffer{})
		}
	})
}
