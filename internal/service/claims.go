package service

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
)

// Bounds of what a token may claim.
const (
	maxScopes     = 64
	maxSubject    = 255
	lastTimestamp = 253402300799 // the end of the year 9999, the last that RFC 3339 can write
)

// claims is what a token says, checked.
type claims struct {
	subject    string
	repository cairn.RepositoryName
	scopes     []cairn.Scope
	policy     cairn.RefPolicy
	expires    time.Time
}

// parseClaims checks everything that a token says but who signed it.
func parseClaims(set claimSet, limits Limits, now time.Time) (claims, error) {
	var c claims
	var err error
	if c.expires, err = parseLifetime(set, limits.TokenTTL, now); err != nil {
		return claims{}, err
	}
	if c.subject, err = set.text("sub"); err != nil {
		return claims{}, err
	}
	if len(c.subject) > maxSubject {
		return claims{}, badClaim("sub", "is longer than %d bytes", maxSubject)
	}
	if c.repository, err = parseRepositoryClaim(set); err != nil {
		return claims{}, err
	}
	if c.scopes, err = parseScopes(set); err != nil {
		return claims{}, err
	}
	if c.policy, err = parsePolicy(set, limits.PolicyRules); err != nil {
		return claims{}, err
	}
	return c, nil
}

// parseLifetime checks the three dates and returns when the token ends.
func parseLifetime(set claimSet, longest time.Duration, now time.Time) (time.Time, error) {
	expires, ok, err := set.date("exp")
	if err != nil {
		return time.Time{}, err
	}
	if !ok {
		return time.Time{}, badClaim("exp", "is missing")
	}
	if err := checkExpiry(expires, now); err != nil {
		return time.Time{}, err
	}
	issued, ok, err := set.date("iat")
	if err != nil {
		return time.Time{}, err
	}
	if !ok {
		issued = now
	}
	if issued.After(now.Add(tokenLeeway)) {
		return time.Time{}, badClaim("iat", "lies in the future")
	}
	if expires.Sub(issued) > longest {
		return time.Time{}, badClaim("exp", "is more than %s after the token was issued (max-token-ttl)", longest)
	}
	start, ok, err := set.date("nbf")
	if err != nil {
		return time.Time{}, err
	}
	if ok && start.After(now.Add(tokenLeeway)) {
		return time.Time{}, badClaim("nbf", "lies in the future")
	}
	return expires, nil
}

// parseRepositoryClaim reads the name of the only repository that the token is
// for. What it says of an organization-wide call does not matter: those look at
// scopes alone, so that a repository may well be called "org".
func parseRepositoryClaim(set claimSet) (cairn.RepositoryName, error) {
	text, err := set.text("repo")
	if err != nil || text == "" {
		return "", err
	}
	name, err := cairn.ParseRepositoryName(text)
	if err != nil {
		return "", cairn.Errorf(cairn.Unauthenticated, "the token's repo claim: %w", err)
	}
	return name, nil
}

// parseScopes reads the scopes. One that is not known grants nothing.
func parseScopes(set claimSet) ([]cairn.Scope, error) {
	raw, ok := set["scopes"]
	if !ok {
		return nil, nil
	}
	texts, ok := jsonStrings(raw)
	if !ok {
		return nil, badClaim("scopes", "is not an array of strings")
	}
	if len(texts) > maxScopes {
		return nil, badClaim("scopes", "has more than %d entries", maxScopes)
	}
	scopes := make([]cairn.Scope, len(texts))
	for i, text := range texts {
		scopes[i] = cairn.Scope(text)
	}
	return scopes, nil
}

// parsePolicy reads refs, the ordered rules, and ops, which are folded into
// the rule for "*".
func parsePolicy(set claimSet, longest int) (cairn.RefPolicy, error) {
	var policy cairn.RefPolicy
	if raw, ok := set["refs"]; ok {
		rules, ok := jsonArray(raw)
		if !ok {
			return nil, badClaim("refs", "is not an array")
		}
		if len(rules) > longest {
			return nil, badClaim("refs", "has more than %d rules (max-policy-rules)", longest)
		}
		for _, rule := range rules {
			parsed, err := parseRule(rule)
			if err != nil {
				return nil, err
			}
			policy = append(policy, parsed)
		}
	}
	raw, ok := set["ops"]
	if !ok {
		return policy, nil
	}
	ops, err := parseOps("ops", raw)
	if err != nil || len(ops) == 0 {
		return policy, err
	}
	return foldIntoAny(policy, ops), nil
}

// parseRule reads one rule, written [pattern, [op, ...]].
func parseRule(raw json.RawMessage) (cairn.RefRule, error) {
	tuple, ok := jsonArray(raw)
	if !ok || len(tuple) != 2 {
		return cairn.RefRule{}, badClaim("refs", "has a rule that is not [pattern, [operations]]")
	}
	text, ok := jsonString(tuple[0])
	if !ok {
		return cairn.RefRule{}, badClaim("refs", "has a rule whose pattern is not a string")
	}
	pattern, err := parseRefPattern(text)
	if err != nil {
		return cairn.RefRule{}, err
	}
	ops, err := parseOps("refs", tuple[1])
	return cairn.RefRule{Pattern: pattern, Ops: ops}, err
}

// parseRefPattern normalizes a pattern: what is no full ref name names a
// branch. A "*" may stand alone or directly after the last slash.
func parseRefPattern(text string) (string, error) {
	if text == "*" || text == string(git.HEAD) {
		return text, nil
	}
	pattern := text
	if !strings.HasPrefix(pattern, "refs/") {
		pattern = git.BranchPrefix + pattern
	}
	example := pattern
	if prefix, ok := strings.CutSuffix(pattern, "/*"); ok {
		example = prefix + "/x/x" // what the pattern matches, with enough components
	}
	if _, err := git.ParseRefName(example); err != nil || text == "" {
		return "", badClaim("refs", "has the pattern %q, which is neither a ref nor a prefix that ends in /*", cairn.Clip(text))
	}
	return pattern, nil
}

// parseOps reads operations to forbid. One that is not known fails the token:
// its author wanted something forbidden that this server would allow.
func parseOps(claim string, raw json.RawMessage) ([]cairn.RefOp, error) {
	texts, ok := jsonStrings(raw)
	if !ok {
		return nil, badClaim(claim, "has operations that are not an array of strings")
	}
	var ops []cairn.RefOp
	for _, text := range texts {
		op := cairn.RefOp(text)
		switch op {
		case cairn.NoForcePush, cairn.NoPush, cairn.VerifySig:
		default:
			return nil, badClaim(claim, "has the unknown operation %q", cairn.Clip(text))
		}
		if !slices.Contains(ops, op) {
			ops = append(ops, op)
		}
	}
	return ops, nil
}

// foldIntoAny adds operations to the rule for "*", making one at the end if
// there is none.
func foldIntoAny(policy cairn.RefPolicy, ops []cairn.RefOp) cairn.RefPolicy {
	i := slices.IndexFunc(policy, func(r cairn.RefRule) bool { return r.Pattern == "*" })
	if i < 0 {
		return append(policy, cairn.RefRule{Pattern: "*", Ops: ops})
	}
	for _, op := range ops {
		if !slices.Contains(policy[i].Ops, op) {
			policy[i].Ops = append(policy[i].Ops, op)
		}
	}
	return policy
}

// claimSet is a JSON object whose members are not read yet. No name comes
// twice in it.
type claimSet map[string]json.RawMessage

// decodeClaimSet decodes a part of a token strictly: canonical base64url, one
// JSON object, no duplicate names, nothing after it.
func decodeClaimSet(part, text string) (claimSet, error) {
	bad := func(why string) (claimSet, error) {
		return nil, cairn.Errorf(cairn.Unauthenticated, "the token's %s %s", part, why)
	}
	data, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return bad("is not base64url")
	}
	set, twice, ok := readObject(data)
	switch {
	case !ok && !json.Valid(data):
		return bad("is not JSON")
	case !ok:
		return bad("is not a JSON object")
	case twice != "":
		return bad("has " + twice + " twice")
	}
	return set, nil
}

// decodeObject reads a claim that is an object, without duplicate names.
func decodeObject(raw json.RawMessage) (claimSet, bool) {
	set, twice, ok := readObject(raw)
	return set, ok && twice == ""
}

// readObject reads a JSON object, or says which name comes twice in it. It does
// not decode the members, which would take a third of the time of a signature:
// where JSON is known to be valid, quotes and brackets tell the end of a value.
func readObject(data []byte) (set claimSet, twice string, ok bool) {
	if !json.Valid(data) {
		return nil, "", false
	}
	rest, ok := bytes.CutPrefix(skipSpace(data), []byte("{"))
	if !ok {
		return nil, "", false
	}
	set = make(claimSet)
	for rest = skipSpace(rest); rest[0] != '}'; {
		raw, more := cutValue(rest)
		name, ok := jsonString(raw)
		if !ok {
			return nil, "", false
		}
		if _, again := set[name]; again {
			return nil, strconv.Quote(cairn.Clip(name)), true
		}
		more = skipSpace(skipSpace(more)[1:]) // after the colon
		set[name], more = cutValue(more)
		rest = nextValue(more)
	}
	return set, "", true
}

// cutValue cuts the value with which data begins from what follows. Data must
// be of valid JSON.
func cutValue(data []byte) (value json.RawMessage, rest []byte) {
	var end int
	switch data[0] {
	case '"':
		end = stringEnd(data)
	case '{', '[':
		end = nestedEnd(data)
	default: // a number or a word
		if end = bytes.IndexAny(data, ",]} \t\r\n"); end < 0 {
			end = len(data)
		}
	}
	return data[:end:end], data[end:]
}

// stringEnd returns the length of the string with which data begins.
func stringEnd(data []byte) int {
	i := 1
	for ; data[i] != '"'; i++ {
		if data[i] == '\\' {
			i++
		}
	}
	return i + 1
}

// nestedEnd returns the length of the object or array with which data begins.
func nestedEnd(data []byte) int {
	depth := 0
	for i := 0; ; i++ {
		switch data[i] {
		case '"':
			i += stringEnd(data[i:]) - 1
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
}

// nextValue returns what follows a member or an element: the next one, or the
// bracket that ends all.
func nextValue(data []byte) []byte {
	data = skipSpace(data)
	if data[0] == ',' {
		data = skipSpace(data[1:])
	}
	return data
}

func skipSpace(data []byte) []byte { return bytes.TrimLeft(data, " \t\r\n") }

// text returns a member that is a string, or "" if there is none.
func (s claimSet) text(name string) (string, error) {
	raw, ok := s[name]
	if !ok {
		return "", nil
	}
	text, ok := jsonString(raw)
	if !ok {
		return "", badClaim(name, "is not a string")
	}
	return text, nil
}

// date returns a member that is a time in whole seconds.
func (s claimSet) date(name string) (time.Time, bool, error) {
	raw, ok := s[name]
	if !ok {
		return time.Time{}, false, nil
	}
	seconds, err := strconv.ParseInt(string(raw), 10, 64)
	if err != nil || seconds < 0 || seconds > lastTimestamp {
		return time.Time{}, false, badClaim(name, "is not a time in whole seconds")
	}
	return time.Unix(seconds, 0), true, nil
}

func badClaim(name, format string, args ...any) error {
	return cairn.Errorf(cairn.Unauthenticated, "the token's "+name+" "+format, args...)
}

// jsonString reads a string of valid JSON.
func jsonString(raw json.RawMessage) (text string, ok bool) {
	if len(raw) < 2 || raw[0] != '"' {
		return "", false
	}
	if inner := raw[1 : len(raw)-1]; isPlain(inner) {
		return string(inner), true
	}
	return text, json.Unmarshal(raw, &text) == nil
}

// isPlain tells whether what is between quotes stands for itself.
func isPlain(inner []byte) bool {
	for _, c := range inner {
		if c == '\\' || c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// jsonArray reads the elements of an array of valid JSON.
func jsonArray(raw json.RawMessage) (elements []json.RawMessage, ok bool) {
	rest, ok := bytes.CutPrefix(raw, []byte("["))
	if !ok {
		return nil, false
	}
	for rest = skipSpace(rest); rest[0] != ']'; {
		var element json.RawMessage
		element, rest = cutValue(rest)
		elements = append(elements, element)
		rest = nextValue(rest)
	}
	return elements, true
}

func jsonStrings(raw json.RawMessage) ([]string, bool) {
	elements, ok := jsonArray(raw)
	if !ok {
		return nil, false
	}
	texts := make([]string, len(elements))
	for i, element := range elements {
		if texts[i], ok = jsonString(element); !ok {
			return nil, false
		}
	}
	return texts, true
}
