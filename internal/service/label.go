package service

import (
	"strings"
	"unicode/utf8"

	"github.com/cairn-storage/cairn/internal/cairn"
)

// Bounds of labels.
const (
	maxLabels     = 50
	maxLabelName  = 64  // characters
	maxLabelValue = 256 // characters
)

// labelNames says how names of labels are written.
type labelNames func(string) string

// foldLabelNames writes them in lower case.
var foldLabelNames labelNames = strings.ToLower

// asGiven writes them as they come.
var asGiven labelNames = func(name string) string { return name }

// changedLabels returns labels as they are after a change, in which nil takes
// one away.
func changedLabels(before cairn.Labels, change map[string]*string, names labelNames) (cairn.Labels, error) {
	after := make(cairn.Labels, len(before)+len(change))
	for name, value := range before {
		after[name] = value
	}
	for name, value := range change {
		name = names(name)
		if name == "" || utf8.RuneCountInString(name) > maxLabelName || !isPlainText(name) {
			return nil, cairn.Errorf(cairn.Invalid, "tag %q: its key has 1 to %d characters and no control characters", cairn.Clip(name), maxLabelName)
		}
		if value == nil {
			delete(after, name)
			continue
		}
		if utf8.RuneCountInString(*value) > maxLabelValue || !isPlainText(*value) {
			return nil, cairn.Errorf(cairn.Invalid, "tag %q: its value has at most %d characters and no control characters", cairn.Clip(name), maxLabelValue)
		}
		after[name] = *value
	}
	if len(after) > maxLabels {
		return nil, cairn.Errorf(cairn.Invalid, "there are at most %d tags", maxLabels)
	}
	return after, nil
}

// setAll is the change that sets labels.
func setAll(l cairn.Labels) map[string]*string {
	change := make(map[string]*string, len(l))
	for name, value := range l {
		change[name] = &value
	}
	return change
}
