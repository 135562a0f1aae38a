// Package config is everything that can be set about a server: one struct,
// whose tags are the documentation that --help, --print-config and the manual
// show. A setting comes from its flag, else from the environment, else from
// the file, else from its default; every source uses the same name and the
// same text form. The package only reads settings; what they mean is up to
// package server.
package config

import (
	"encoding"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// Config is a server's settings. Each field has its name (the flag --name, the
// variable CAIRN_NAME with underscores, and the file's key), its default and
// its meaning.
type Config struct {
	Data   string `name:"data" default:"./cairn-data" help:"directory of everything that the server keeps"`
	Listen string `name:"listen" default:"127.0.0.1:8080" help:"address for the API and for Git"`

	OpsListen   string `name:"ops-listen" default:"127.0.0.1:8081" help:"address for /metrics, /debug/pprof, /healthz and /readyz; empty: off"`
	Metadata    string `name:"metadata" default:"sqlite:" help:"metadata store: sqlite:PATH; without a path, cairn.db in the data directory"`
	Bucket      string `name:"bucket" default:"file:" help:"store of packs: file:DIR; without a directory, bucket in the data directory"`
	ExternalURL string `name:"external-url" default:"" help:"what links and clone addresses begin with; empty: the listener's address"`

	EgressAllow []netip.Prefix `name:"egress-allow" default:"" help:"private address ranges that upstreams and webhooks may reach, over plain http too"`

	StrictMoves bool `name:"strict-bookmark-moves" default:"false" help:"Mesa API: move bookmarks forward only, unless a request has allow_backwards, as its clients from 0.43 on expect"`

	TLSCert       string `name:"tls-cert" default:"" help:"certificate chain in PEM, to serve HTTPS"`
	TLSKey        string `name:"tls-key" default:"" help:"private key in PEM of tls-cert"`
	TLSSelfSigned bool   `name:"tls-self-signed" default:"false" help:"serve HTTPS with a certificate of an own authority, kept in the data directory"`

	// AdminToken is a secret: --print-config does not show it.
	AdminToken Secret `name:"admin-token" default:"" help:"token for /admin/v1; empty: the one in the file admin-token of the data directory, made at the first start"`

	// SecretKey is a secret too.
	SecretKey Secret `name:"secret-key" default:"" help:"base64 form of the 32 bytes that seal stored secrets; further ones, after commas, only open; empty: those in the file secret-key of the data directory, made at the first start"`

	LogFormat string `name:"log-format" default:"text" help:"text or json"`
	LogLevel  string `name:"log-level" default:"info" help:"debug, info, warn or error"`

	HeaderTimeout  time.Duration `name:"header-timeout" default:"10s" help:"time to send a request's header"`
	RequestTimeout time.Duration `name:"request-timeout" default:"1h" help:"time for a request from its header to the last byte of the answer"`
	IdleTimeout    time.Duration `name:"idle-timeout" default:"2m" help:"time that an idle connection is kept"`
	DrainTimeout   time.Duration `name:"drain-timeout" default:"30s" help:"time for requests under way to finish when the server stops"`
	StallTimeout   time.Duration `name:"stall-timeout" default:"2m" help:"time in which something of a body must move, in either direction"`
	MinRate        Size          `name:"min-rate" default:"256" zero:"ok" help:"bytes a second that a client must send or take on average, after the first stall-timeout; 0: no floor"`

	MaxConnections int           `name:"max-connections" default:"8192" help:"connections open at a time; more are closed"`
	MaxRequests    int           `name:"max-requests" default:"2048" help:"requests under way at a time; more are answered 503"`
	MaxOrgRequests int           `name:"max-organization-requests" default:"0" zero:"ok" help:"requests of one organization under way; more are answered 429; 0: half of max-requests"`
	WorkSlots      int           `name:"work-slots" default:"0" zero:"ok" help:"heavy operations at work at a time; 0: two for each CPU, at least 4"`
	OrgWorkSlots   int           `name:"organization-work-slots" default:"0" zero:"ok" help:"of them, those of one organization; 0: three quarters"`
	WorkQueue      int           `name:"work-queue" default:"256" help:"heavy operations of one organization that wait for a slot; more are answered 429"`
	WorkWait       time.Duration `name:"work-wait" default:"1m" help:"longest wait for a slot; then 429 if the organization has its share, else 503"`

	CacheSize     Size          `name:"cache-size" default:"64MiB" help:"decoded objects kept in memory"`
	ResponseCache Size          `name:"response-cache" default:"1GiB" help:"disk space for the packs of shallow and partial clones, sent again to who asks for the same; 0: off"`
	InlineLimit   Size          `name:"inline-limit" default:"256KiB" help:"largest pack that is kept in the metadata store"`
	CompactAt     int           `name:"compact-at" default:"32" help:"packs of a repository that make it due for compaction"`
	Grace         time.Duration `name:"grace" default:"1m" help:"time that a pack lives on after nothing names it any more, and longer while a request reads it"`
	Retention     time.Duration `name:"retention" default:"168h" help:"time that deleted repositories are kept, and what refs named and name no more"`
	SweepEvery    time.Duration `name:"sweep-every" default:"15m" help:"time between two searches for what can be removed"`
	OrphansAfter  time.Duration `name:"orphans-after" default:"24h" help:"age at which a stored pack that nothing ever named is removed; longer than any push"`

	MaxCommitFiles   int           `name:"max-commit-files" default:"100000" help:"paths that one commit through the API changes"`
	MaxFileSize      Size          `name:"max-file-size" default:"4GiB" help:"one file of a commit through the API"`
	MaxRequestSize   Size          `name:"max-request-size" default:"16GiB" help:"all files of one commit through the API"`
	MaxPatchSize     Size          `name:"max-patch-size" default:"64MiB" help:"the patch of one commit through the API"`
	MaxLineSize      Size          `name:"max-line-size" default:"6MiB" help:"one NDJSON line"`
	MaxTokenTTL      time.Duration `name:"max-token-ttl" default:"87600h" help:"time from a token's iat to its exp"`
	MaxPolicyRules   int           `name:"max-policy-rules" default:"256" help:"ref rules in one token"`
	MaxRefsPerPush   int           `name:"max-refs-per-push" default:"10000" help:"refs that one push moves"`
	MaxDiffFileSize  Size          `name:"max-diff-file-size" default:"500kB" help:"largest file that a diff shows"`
	MaxDiffFileLines int           `name:"max-diff-file-lines" default:"2000" help:"most changed lines of a file that a diff shows"`
	MaxEventStreams  int           `name:"max-event-streams" default:"128" help:"live event streams of one organization; more are answered 429"`
	SyncTimeout      time.Duration `name:"sync-timeout" default:"1h" help:"one attempt to take over what an upstream has"`
	MaxSyncRefs      int           `name:"max-sync-refs" default:"200000" help:"refs of an upstream"`
	MaxWalkEntries   int64         `name:"max-walk-entries" default:"5000000" help:"tree entries that one listing or diff visits"`
	GitTime          time.Duration `name:"git-time" default:"2m" help:"one command of git that a request waits for, such as a merge"`
	GitMemory        Size          `name:"git-memory" default:"1GiB" help:"memory of such a command, beside the packs that it reads"`
	MaxPackSize      Size          `name:"max-pack-size" default:"16GiB" help:"the pack of one push"`
	MaxPackObjects   int64         `name:"max-pack-objects" default:"20000000" help:"objects in the pack of one push"`
	MaxObjectSize    Size          `name:"max-object-size" default:"4GiB" help:"one object of a push, inflated"`
	MaxInflatedSize  Size          `name:"max-inflated-size" default:"256GiB" help:"all objects of a push, inflated"`
}

// Default returns the settings that nobody changed.
func Default() Config {
	var c Config
	for _, s := range c.settings() {
		if err := s.Set(s.fallback); err != nil {
			panic("config: default of " + s.name + ": " + err.Error())
		}
	}
	return c
}

// Secret is text that is never printed.
type Secret string

// String hides the secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "(secret)"
}

// Size is a number of bytes, written with a unit: 500kB, 64MiB.
type Size int64

var units = []struct {
	name  string
	bytes int64
}{
	{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
	{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"B", 1},
}

// UnmarshalText reads a whole number with an optional unit.
func (s *Size) UnmarshalText(text []byte) error {
	number, unit := string(text), int64(1)
	for _, u := range units {
		if n, ok := strings.CutSuffix(number, u.name); ok {
			number, unit = strings.TrimSpace(n), u.bytes
			break
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 0 || n > (1<<62)/unit {
		return fmt.Errorf("%q is not a size such as 500kB or 64MiB", clip(string(text)))
	}
	*s = Size(n * unit)
	return nil
}

// String writes the size with the largest unit that divides it.
func (s Size) String() string {
	for _, u := range units {
		if s != 0 && int64(s)%u.bytes == 0 && (u.bytes != 1) {
			return strconv.FormatInt(int64(s)/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// setting is one field of a Config as text. It is a pflag.Value.
type setting struct {
	name, fallback, help string
	zero                 bool // has a meaning, which help tells
	field                reflect.Value
}

func (c *Config) settings() []setting {
	v := reflect.ValueOf(c).Elem()
	all := make([]setting, v.NumField())
	for i := range all {
		tag := v.Type().Field(i).Tag
		all[i] = setting{tag.Get("name"), tag.Get("default"), tag.Get("help"), tag.Get("zero") != "", v.Field(i)}
	}
	return all
}

// variable is the name of the environment variable.
func (s setting) variable() string {
	return "CAIRN_" + strings.ToUpper(strings.ReplaceAll(s.name, "-", "_"))
}

// Set parses the setting's text form.
func (s setting) Set(text string) error {
	switch field := s.field.Addr().Interface().(type) {
	case encoding.TextUnmarshaler:
		return field.UnmarshalText([]byte(text))
	case *string:
		*field = text
	case *Secret:
		*field = Secret(text)
	case *bool:
		value, err := strconv.ParseBool(text)
		if err != nil {
			return fmt.Errorf("%q is neither true nor false", clip(text))
		}
		*field = value
	case *int:
		value, err := parseCount(text, 32)
		if err != nil {
			return err
		}
		*field = int(value)
	case *int64:
		value, err := parseCount(text, 64)
		if err != nil {
			return err
		}
		*field = value
	case *time.Duration:
		value, err := time.ParseDuration(text)
		if err != nil || value < 0 {
			return fmt.Errorf("%q is not a time such as 30s, 15m or 24h", clip(text))
		}
		*field = value
	case *[]netip.Prefix:
		return setPrefixes(field, text)
	default:
		panic(fmt.Sprintf("config: %s has the type %T", s.name, field))
	}
	return nil
}

// String returns the setting's text form; a secret stays hidden.
func (s setting) String() string {
	if !s.field.IsValid() { // pflag asks a zero value
		return ""
	}
	switch value := s.field.Interface().(type) {
	case []netip.Prefix:
		texts := make([]string, len(value))
		for i, p := range value {
			texts[i] = p.String()
		}
		return strings.Join(texts, ",")
	default:
		return fmt.Sprint(value)
	}
}

// Type is what --help calls the value.
func (s setting) Type() string {
	switch s.field.Interface().(type) {
	case bool:
		return "bool"
	case int, int64:
		return "number"
	case Size:
		return "size"
	case time.Duration:
		return "time"
	case []netip.Prefix:
		return "CIDR,..."
	}
	return "string"
}

func parseCount(text string, bits int) (int64, error) {
	value, err := strconv.ParseInt(text, 10, bits)
	if err != nil || value < 0 {
		return 0, fmt.Errorf("%q is not a whole number", clip(text))
	}
	return value, nil
}

func setPrefixes(field *[]netip.Prefix, text string) error {
	*field = nil
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		prefix, err := netip.ParsePrefix(part)
		if err != nil {
			return fmt.Errorf("%q is not an address range such as 10.0.0.0/8", clip(part))
		}
		*field = append(*field, prefix.Masked())
	}
	return nil
}

// Print writes all settings as a configuration file, with what they mean.
func (c Config) Print(w io.Writer) error {
	for _, s := range c.settings() {
		value, err := json.Marshal(s.String()) // JSON strings are YAML strings
		if err != nil {
			return err
		}
		if number := s.Type(); number == "bool" || number == "number" {
			value = []byte(s.String())
		}
		comment := ""
		if _, secret := s.field.Interface().(Secret); secret {
			comment = "# "
		}
		_, err = fmt.Fprintf(w, "# %s\n# --%s, %s\n%s%s: %s\n\n", s.help, s.name, s.variable(), comment, s.name, value)
		if err != nil {
			return err
		}
	}
	return nil
}

func clip(s string) string {
	if len(s) > 80 {
		return s[:77] + "..."
	}
	return s
}
