package protocol

import (
	"io"
	"slices"

	"github.com/cairn-storage/cairn/internal/git"
)

// Answer is what a server says before the pack.
type Answer struct {
	Common     []git.ObjectID // those of the haves that the server has too, in the client's order
	Ready      bool           // the common ones suffice: no want needs older history to be cut off from
	Shallow    []git.ObjectID // commits that the client gets without their parents
	Unshallow  []git.ObjectID // commits whose parents the client now gets
	WantedRefs []Ref          // version 2: what the refs of WantRefs name
}

// PackFollows tells whether a pack ends the answer, given how many of the
// haves are common and whether they suffice. If not, only Common, Ready and,
// in version 0, the shallow list of the Answer are written, and the client
// comes back with more haves.
func (q *FetchRequest) PackFollows(common int, ready bool) bool {
	switch {
	case q.IsEmpty() || q.OnlyWants:
		return false
	case q.Done:
		return true
	case q.Version < 2:
		return ready && common > 0 && q.NoDone && q.Acks == MultiAckDetailed
	case len(q.Haves) == 0:
		return true
	}
	return ready && common > 0 && !q.WaitForDone
}

// WriteAnswer writes everything up to the pack. If PackFollows, the pack is to
// be written to NewPackStream next; else the answer is complete.
func (q *FetchRequest) WriteAnswer(w *Writer, a Answer) error {
	switch {
	case q.IsEmpty():
		return w.Err()
	case q.Version < 2:
		return q.answerV0(w, a)
	}
	return q.answerV2(w, a)
}

func (q *FetchRequest) answerV0(w *Writer, a Answer) error {
	if q.Deepens() {
		writeShallow(w, a)
		w.Flush()
	}
	if q.OnlyWants {
		return w.Err()
	}
	ready := a.Ready && len(a.Common) > 0
	switch q.Acks {
	case SingleAck:
		if len(a.Common) > 0 {
			w.ack(a.Common[0], "")
		}
	case MultiAck:
		common := makeSet(a.Common)
		for _, id := range q.Haves {
			if common[id] || ready {
				w.ack(id, " continue")
			}
		}
	case MultiAckDetailed:
		for _, id := range a.Common {
			w.ack(id, " common")
		}
	}
	last := git.ObjectID{}
	if len(a.Common) > 0 {
		last = a.Common[len(a.Common)-1]
	}
	if q.Done {
		switch {
		case len(a.Common) == 0:
			w.nak()
		case q.Acks != SingleAck:
			w.ack(last, "")
		}
		return w.Err()
	}
	if ready && q.Acks == MultiAckDetailed {
		w.ack(last, " ready")
	}
	if len(a.Common) == 0 || q.Acks != SingleAck {
		w.nak()
	}
	if q.PackFollows(len(a.Common), a.Ready) {
		w.ack(last, "")
	}
	return w.Err()
}

func (q *FetchRequest) answerV2(w *Writer, a Answer) error {
	packFollows := q.PackFollows(len(a.Common), a.Ready)
	if len(q.Haves) > 0 && !q.Done {
		w.Line("acknowledgments")
		if len(a.Common) == 0 {
			w.nak()
		}
		for _, id := range a.Common {
			w.ack(id, "")
		}
		if !packFollows {
			return w.Flush()
		}
		w.Line("ready")
		w.Delim()
	}
	if !packFollows {
		return w.Flush()
	}
	if q.Deepens() || len(q.Shallow) > 0 {
		w.Line("shallow-info")
		writeShallow(w, a)
		w.Delim()
	}
	if len(a.WantedRefs) > 0 {
		w.Line("wanted-refs")
		for _, r := range a.WantedRefs {
			w.ref(r.ID, string(r.Name), "")
		}
		w.Delim()
	}
	return w.Line("packfile")
}

func writeShallow(w *Writer, a Answer) {
	for _, id := range a.Shallow {
		w.Line("shallow " + id.String())
	}
	for _, id := range a.Unshallow {
		w.Line("unshallow " + id.String())
	}
}

func (w *Writer) ack(id git.ObjectID, status string) { w.Line("ACK " + id.String() + status) }
func (w *Writer) nak()                               { w.Line("NAK") }

func makeSet(ids []git.ObjectID) map[git.ObjectID]bool {
	set := make(map[git.ObjectID]bool, len(ids))
	for _, id := range ids {
		set[id] = true
	}
	return set
}

// PackStream carries the pack and what is said beside it. It is safe for
// concurrent use.
type PackStream struct {
	w    *Writer
	band *Sideband // nil if the client takes the bare pack only
	mute bool
}

// NewPackStream returns the stream that follows WriteAnswer.
func (q *FetchRequest) NewPackStream(w *Writer) *PackStream {
	s := &PackStream{w: w, mute: q.NoProgress}
	if q.Sideband > 0 {
		s.band = NewSideband(w, q.Sideband)
	}
	return s
}

// Write adds to the pack. Full packets are sent as they fill; Close sends the
// rest.
func (s *PackStream) Write(p []byte) (int, error) {
	if s.band != nil {
		return dataWriter{s.band}.Write(p)
	}
	if s.w.err != nil {
		return 0, s.w.err
	}
	n, err := s.w.w.Write(p)
	s.w.err = err
	return n, err
}

// Progress sends text for the user's terminal, if the client wants any.
func (s *PackStream) Progress(text string) error {
	if s.band == nil || s.mute {
		return s.w.err
	}
	return s.band.Progress(text)
}

// KeepAlive tells the client and what lies between that work goes on.
func (s *PackStream) KeepAlive() error {
	if s.band == nil {
		return s.w.err
	}
	return s.band.KeepAlive()
}

// Fatal makes the client fail with the text instead of with a broken pack. A
// bare pack has no place for the text; it is just not complete.
func (s *PackStream) Fatal(text string) error {
	if s.band == nil {
		return s.w.err
	}
	return s.band.Fatal(text)
}

// Close ends the stream.
func (s *PackStream) Close() error {
	if s.band == nil {
		return s.w.err
	}
	return s.band.Close()
}

var _ io.WriteCloser = (*PackStream)(nil)

// CommonHaves returns those of haves for which has is true, in order and each
// once: the Common of an Answer.
func CommonHaves(haves []git.ObjectID, has func(git.ObjectID) (bool, error)) ([]git.ObjectID, error) {
	var common []git.ObjectID
	seen := make(map[git.ObjectID]bool, len(haves))
	for _, id := range haves {
		if seen[id] {
			continue
		}
		seen[id] = true
		ok, err := has(id)
		if err != nil {
			return nil, err
		}
		if ok {
			common = append(common, id)
		}
	}
	return slices.Clip(common), nil
}
