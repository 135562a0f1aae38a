package protocol

import (
	"bytes"
	"strings"
)

// WritePush asks a server to move refs: each by itself or, if atomic and the
// server can do that, all or none. The pack, if any ref is not deleted, is to
// follow.
func (a *ServerAdvertisement) WritePush(w *Writer, agent string, updates []RefUpdate, atomic bool) error {
	wanted := []string{"report-status", "side-band-64k", "quiet"}
	if atomic {
		wanted = append(wanted, "atomic")
	}
	for i, u := range updates {
		suffix := ""
		if i == 0 {
			suffix = "\x00 " + a.chosen(agent, wanted...)
		}
		old, now := u.Old.String(), u.New.String()
		if u.Old.IsZero() {
			old = zeroHex(a.Format)
		}
		if u.New.IsZero() {
			now = zeroHex(a.Format)
		}
		w.Line(old + " " + now + " " + u.Name + suffix)
	}
	return w.Flush()
}

// PushReport is what a server says of a push.
type PushReport struct {
	Unpack   string // why the pack was refused; empty if it was not
	Results  []RefResult
	Messages string // what the server said beside it, such as the words of its hooks
}

// ReadReport reads the answer to a push of so many refs.
func (a *ServerAdvertisement) ReadReport(r *Reader, refs int) (PushReport, error) {
	lines := r
	var band *Demux
	if a.Capabilities.Has("side-band-64k") {
		band = NewDemux(r)
		lines = NewReader(band)
	}
	report, err := readReport(lines, refs)
	if band != nil {
		report.Messages = band.Messages()
	}
	return report, err
}

func readReport(r *Reader, refs int) (PushReport, error) {
	var report PushReport
	line, err := r.answerLine()
	if err != nil {
		return report, err
	}
	status, ok := bytes.CutPrefix(line, []byte("unpack "))
	if !ok {
		return report, malformed("expected the report of a push, got %q", clip(line))
	}
	if string(status) != "ok" {
		report.Unpack = remoteText(status)
	}
	for {
		line, err := r.answerLine()
		if err != nil || line == nil {
			return report, err
		}
		word, rest, _ := strings.Cut(string(line), " ")
		switch word {
		case "ok":
			report.Results = append(report.Results, RefResult{Name: rest})
		case "ng":
			name, why, _ := strings.Cut(rest, " ")
			reason := remoteText([]byte(why))
			if reason == "" {
				reason = "refused without a reason"
			}
			report.Results = append(report.Results, RefResult{Name: name, Reason: reason})
		default:
			return report, malformed("%q in the report of a push", clip(line))
		}
		if err := within(len(report.Results), refs, "refs in a report"); err != nil {
			return report, err
		}
	}
}
