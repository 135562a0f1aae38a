package config

import (
	"fmt"
	"io"
	"maps"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/spf13/pflag"
)

// maxFile bounds a configuration file.
const maxFile = 1 << 20

// Flags are the command line's share of a configuration.
type Flags struct {
	parsed Config
	set    *pflag.FlagSet
}

// Bind defines a flag for every setting.
func Bind(set *pflag.FlagSet) *Flags {
	f := &Flags{parsed: Default(), set: set}
	for _, s := range f.parsed.settings() {
		flag := set.VarPF(s, s.name, "", fmt.Sprintf("%s (%s)", s.help, s.variable()))
		if s.Type() == "bool" {
			flag.NoOptDefVal = "true"
		}
	}
	return f
}

// Load puts the sources together, the strongest last: defaults, the file if
// path is not empty, the environment, the flags that were given.
func Load(path string, environ func(string) (string, bool), flags *Flags) (Config, error) {
	c := Default()
	if path != "" {
		if err := c.readFile(path); err != nil {
			return Config{}, err
		}
	}
	for _, s := range c.settings() {
		if text, ok := environ(s.variable()); ok {
			if err := s.Set(text); err != nil {
				return Config{}, fmt.Errorf("%s: %w", s.variable(), err)
			}
		}
	}
	if flags != nil {
		given := flags.parsed.settings()
		for i, s := range c.settings() {
			if flags.set.Changed(s.name) {
				s.field.Set(given[i].field)
			}
		}
	}
	return c, c.check()
}

func (c *Config) readFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("configuration file: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return fmt.Errorf("configuration file: %w", err)
	}
	if len(data) > maxFile {
		return fmt.Errorf("configuration file %s is larger than %d bytes", path, maxFile)
	}
	if err := c.parseFile(data); err != nil {
		return fmt.Errorf("configuration file %s: %w", path, err)
	}
	return nil
}

// parseFile reads YAML (or JSON, which is YAML too): one mapping from the names
// of settings to scalars, or to lists of them.
func (c *Config) parseFile(data []byte) error {
	var values map[string]any
	if err := yaml.Unmarshal(data, &values); err != nil {
		return fmt.Errorf("%s", yaml.FormatError(err, false, true))
	}
	known := make(map[string]setting)
	for _, s := range c.settings() {
		known[s.name] = s
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		s, ok := known[name]
		if !ok {
			return fmt.Errorf("there is no setting %q; cairn serve --print-config lists all", clip(name))
		}
		text, err := scalar(values[name])
		if err == nil {
			err = s.Set(text)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func scalar(value any) (string, error) {
	switch value := value.(type) {
	case nil:
		return "", nil
	case string:
		return value, nil
	case bool, int64, uint64, float64:
		return fmt.Sprint(value), nil
	case []any:
		parts := make([]string, len(value))
		for i, element := range value {
			text, err := scalar(element)
			if err != nil {
				return "", err
			}
			parts[i] = text
		}
		return strings.Join(parts, ","), nil
	}
	return "", fmt.Errorf("the value is neither a scalar nor a list")
}

// check finds what no setting shows by itself.
func (c Config) check() error {
	if c.Data == "" {
		return fmt.Errorf("data: the directory is empty")
	}
	for _, listener := range []struct{ name, address string }{{"listen", c.Listen}, {"ops-listen", c.OpsListen}} {
		if listener.name == "ops-listen" && listener.address == "" {
			continue
		}
		if _, _, err := net.SplitHostPort(listener.address); err != nil {
			return fmt.Errorf("%s: %q is not an address such as 127.0.0.1:8080", listener.name, clip(listener.address))
		}
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		return fmt.Errorf("tls-cert and tls-key go together: give both or none")
	}
	if c.TLSSelfSigned && c.TLSCert != "" {
		return fmt.Errorf("tls-self-signed and tls-cert exclude each other")
	}
	if c.LogFormat != "text" && c.LogFormat != "json" {
		return fmt.Errorf("log-format: %q is neither text nor json", clip(c.LogFormat))
	}
	if !slices.Contains([]string{"debug", "info", "warn", "error"}, c.LogLevel) {
		return fmt.Errorf("log-level: %q is not debug, info, warn or error", clip(c.LogLevel))
	}
	if c.ExternalURL != "" {
		u, err := url.Parse(c.ExternalURL)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			return fmt.Errorf("external-url: %q is not an address such as https://git.example.com", clip(c.ExternalURL))
		}
	}
	return c.checkPositive()
}

// checkPositive refuses zero where it has no meaning of its own: it would be
// "nothing works" or, worse, silently the default.
func (c Config) checkPositive() error {
	for _, s := range c.settings() {
		zero := false
		switch s.Type() {
		case "number", "size", "time":
			zero = s.field.Int() == 0 && !s.zero
		}
		if zero && s.name != "response-cache" { // which is off then
			return fmt.Errorf("%s: must be greater than zero", s.name)
		}
	}
	return nil
}
