package mesa

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/cairn-storage/cairn/internal/cairn"
)

// tagFilter tells whether tags are wanted.
type tagFilter = func(cairn.Labels) bool

// Bounds of filters.
const (
	maxFilterText  = 4 << 10
	maxFilterDepth = 16
)

// parseTagFilter reads the filter of a listing: a list of key:value, all of
// which must be there, or as the newer SDKs have it a JSON object of conditions.
// An empty text is no filter.
func parseTagFilter(text string) (tagFilter, error) {
	switch {
	case text == "":
		return nil, nil
	case len(text) > maxFilterText:
		return nil, badFilter("it is longer than %d bytes", maxFilterText)
	case strings.HasPrefix(strings.TrimSpace(text), "{"):
		return parseTagObject(json.RawMessage(text), 0)
	}
	var all []tagFilter
	for pair := range strings.SplitSeq(text, ",") {
		key, value, ok := strings.Cut(strings.TrimSpace(pair), ":")
		if !ok || key == "" {
			return nil, badFilter("%q is not key:value", cairn.Clip(pair))
		}
		all = append(all, func(l cairn.Labels) bool { v, ok := l[key]; return ok && v == value })
	}
	return every(all), nil
}

func badFilter(format string, args ...any) error {
	return cairn.Errorf(cairn.Invalid, "tags: "+format, args...)
}

// parseTagObject reads an object: each member is a condition, and all must hold.
func parseTagObject(raw json.RawMessage, depth int) (tagFilter, error) {
	var members map[string]json.RawMessage
	if depth > maxFilterDepth {
		return nil, badFilter("it is deeper than %d", maxFilterDepth)
	}
	if err := json.Unmarshal(raw, &members); err != nil || members == nil {
		return nil, badFilter("a filter is a JSON object, or a list of key:value")
	}
	var all []tagFilter
	for name, value := range members {
		condition, err := parseTagMember(name, value, depth)
		if err != nil {
			return nil, err
		}
		all = append(all, condition)
	}
	return every(all), nil
}

func parseTagMember(name string, value json.RawMessage, depth int) (tagFilter, error) {
	switch operator := strings.ToLower(name); operator {
	case "$and", "$or":
		var list []json.RawMessage
		if err := json.Unmarshal(value, &list); err != nil || len(list) == 0 {
			return nil, badFilter("%s is a list of filters", operator)
		}
		parts := make([]tagFilter, len(list))
		for i, raw := range list {
			var err error
			if parts[i], err = parseTagObject(raw, depth+1); err != nil {
				return nil, err
			}
		}
		if operator == "$and" {
			return every(parts), nil
		}
		return func(l cairn.Labels) bool {
			return slices.ContainsFunc(parts, func(part tagFilter) bool { return part(l) })
		}, nil
	case "$not":
		part, err := parseTagObject(value, depth+1)
		return func(l cairn.Labels) bool { return !part(l) }, err
	}
	if strings.HasPrefix(name, "$") {
		return nil, badFilter("there is no operator %q", cairn.Clip(name))
	}
	return parseTagCondition(name, value)
}

// parseTagCondition reads what is asked of one tag: a text it equals, a list of
// texts one of which it equals, or operators.
func parseTagCondition(key string, raw json.RawMessage) (tagFilter, error) {
	var text string
	if json.Unmarshal(raw, &text) == nil && len(raw) > 0 && raw[0] == '"' {
		return onTag(key, func(value string) bool { return strings.EqualFold(value, text) }), nil
	}
	var list []string
	if json.Unmarshal(raw, &list) == nil && list != nil {
		return onTag(key, isOneOf(list)), nil
	}
	var operators map[string]json.RawMessage
	if err := json.Unmarshal(raw, &operators); err != nil || len(operators) == 0 {
		return nil, badFilter("%q wants a text, a list of texts or an object of operators", cairn.Clip(key))
	}
	var all []tagFilter
	for name, operand := range operators {
		condition, err := parseTagOperator(key, strings.ToLower(name), operand)
		if err != nil {
			return nil, err
		}
		all = append(all, condition)
	}
	return every(all), nil
}

func parseTagOperator(key, operator string, operand json.RawMessage) (tagFilter, error) {
	switch operator {
	case "$exists":
		var wanted bool
		if err := json.Unmarshal(operand, &wanted); err != nil {
			return nil, badFilter("$exists is true or false")
		}
		return func(l cairn.Labels) bool { _, ok := valueOf(l, key); return ok == wanted }, nil
	case "$in":
		var list []string
		if err := json.Unmarshal(operand, &list); err != nil {
			return nil, badFilter("$in is a list of texts")
		}
		return onTag(key, isOneOf(list)), nil
	}
	compare, ok := map[string]func(value, text string) bool{
		"$eq": func(a, b string) bool { return a == b }, "$contains": strings.Contains, "$starts_with": strings.HasPrefix, "$ends_with": strings.HasSuffix,
	}[operator]
	if !ok {
		return nil, badFilter("there is no operator %q", cairn.Clip(operator))
	}
	var text string
	if err := json.Unmarshal(operand, &text); err != nil {
		return nil, badFilter("%s wants a text", operator)
	}
	text = strings.ToLower(text)
	return onTag(key, func(value string) bool { return compare(strings.ToLower(value), text) }), nil
}

func isOneOf(list []string) func(string) bool {
	return func(value string) bool {
		return slices.ContainsFunc(list, func(text string) bool { return strings.EqualFold(text, value) })
	}
}

// onTag asks something of the value of a tag, which must be there.
func onTag(key string, f func(value string) bool) tagFilter {
	return func(l cairn.Labels) bool { value, ok := valueOf(l, key); return ok && f(value) }
}

// valueOf finds a tag by its key, in any case if none has exactly that.
func valueOf(l cairn.Labels, key string) (string, bool) {
	if value, ok := l[key]; ok {
		return value, true
	}
	for name, value := range l {
		if strings.EqualFold(name, key) {
			return value, true
		}
	}
	return "", false
}

func every(parts []tagFilter) tagFilter {
	return func(l cairn.Labels) bool {
		return !slices.ContainsFunc(parts, func(part tagFilter) bool { return !part(l) })
	}
}
