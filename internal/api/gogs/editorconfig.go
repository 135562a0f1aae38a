package gogs

import (
	"bytes"
	"fmt"
	"net/http"
	"regexp"
	"strconv"

	"github.com/editorconfig/editorconfig-core-go/v2"

	"github.com/cairn-storage/cairn/internal/api"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/service"
)

// Bounds of an .editorconfig file: each of its sections is a pattern to match.
const (
	maxEditorConfig         = 16 << 10 // bytes
	maxEditorConfigSections = 500
	maxEditorConfigNumbers  = 10_000 // in the ranges of all patterns
)

// editorConfig is what an .editorconfig file says of a file; what it does not say
// is left out.
type editorConfig struct {
	Charset                string `json:"charset,omitempty"`
	IndentStyle            string `json:"indent_style,omitempty"`
	IndentSize             string `json:"indent_size,omitempty"`
	TabWidth               int    `json:"tab_width,omitempty"`
	EndOfLine              string `json:"end_of_line,omitempty"`
	TrimTrailingWhitespace *bool  `json:"trim_trailing_whitespace,omitempty"`
	InsertFinalNewline     *bool  `json:"insert_final_newline,omitempty"`
}

// editorConfigOf answers with what the .editorconfig file in the root of the
// default branch says of a file, which need not be there.
func (f *Face) editorConfigOf(w http.ResponseWriter, in *request) error {
	found, err := f.service.ReadPath(in.Context(), in.who, in.repo.Name, service.Revision{}, ".editorconfig")
	if err != nil {
		return notThere(err)
	}
	if found.Folder || !found.Lines[0].Mode.IsFile() {
		return cairn.Errorf(cairn.NotFound, "there is no .editorconfig")
	}
	line := found.Lines[0]
	if line.Size > maxEditorConfig {
		return cairn.Errorf(cairn.Invalid, ".editorconfig has more than %d bytes", maxEditorConfig)
	}
	shown, err := parseEditorConfig(line.Content, in.PathValue("filename"))
	if err != nil {
		return cairn.Errorf(cairn.Invalid, ".editorconfig: %w", err)
	}
	return api.Write(w, http.StatusOK, shown)
}

// parseEditorConfig returns what an .editorconfig file says of a file. Values that
// make no sense count for nothing.
func parseEditorConfig(text []byte, filename string) (editorConfig, error) {
	// The library would put other values in the place of %(name)s, and of the
	// names in those: a few lines could come to any size. The format has no such
	// thing.
	if bytes.Contains(text, []byte("%(")) {
		return editorConfig{}, fmt.Errorf("holds %q", "%(")
	}
	parsed, _, err := editorconfig.ParseGraceful(bytes.NewReader(text))
	if err != nil {
		return editorConfig{}, err
	}
	if len(parsed.Definitions) > maxEditorConfigSections {
		return editorConfig{}, fmt.Errorf("has more than %d sections", maxEditorConfigSections)
	}
	if err := checkRanges(parsed.Definitions); err != nil {
		return editorConfig{}, err
	}
	d, err := parsed.GetDefinitionForFilename(filename)
	if err != nil {
		return editorConfig{}, err
	}
	return editorConfig{
		d.Charset, d.IndentStyle, d.IndentSize, d.TabWidth, d.EndOfLine, d.TrimTrailingWhitespace, d.InsertFinalNewline,
	}, nil
}

var numericRange = regexp.MustCompile(`([+-]?\d+)\.\.([+-]?\d+)`)

// checkRanges bounds the ranges of numbers in patterns, {1..9}: the library writes
// all their numbers out.
func checkRanges(definitions []*editorconfig.Definition) error {
	var all int64
	for _, d := range definitions {
		for _, ends := range numericRange.FindAllStringSubmatch(d.Selector, -1) {
			from, err := strconv.ParseInt(ends[1], 10, 32)
			if err != nil {
				return err
			}
			to, err := strconv.ParseInt(ends[2], 10, 32)
			if err != nil {
				return err
			}
			if all += max(to-from, 0); all > maxEditorConfigNumbers {
				return fmt.Errorf("has more than %d numbers in ranges", maxEditorConfigNumbers)
			}
		}
	}
	return nil
}
