package protocol

import (
	"bytes"
	"encoding/hex"
	"math"
	"strconv"
	"strings"

	"github.com/cairn-storage/cairn/internal/git"
)

// InfiniteDepth is the depth by which a client asks for all of history: to
// fetch --unshallow is to deepen to it.
const InfiniteDepth = math.MaxInt32

// AckMode is how versions 0 and 1 acknowledge what the client has.
type AckMode uint8

// The ways to acknowledge, from the oldest to the one that all clients of
// today choose.
const (
	SingleAck AckMode = iota
	MultiAck
	MultiAckDetailed
)

// FetchRequest is one request for objects in any version of the protocol.
// The lists are as the client sent them: names are not checked, ids may name
// nothing, and both may repeat.
type FetchRequest struct {
	Version int    // 0 stands for version 1 too; else 2
	Agent   string // what the client says it is, for logs

	Wants    []git.ObjectID
	WantRefs []string // full names of refs whose values are wanted (version 2)
	Haves    []git.ObjectID
	Done     bool // the client ends the negotiation

	Shallow        []git.ObjectID // commits that the client has without their parents
	Depth          int            // 0 for none; at least InfiniteDepth for all
	DeepenRelative bool           // Depth counts from the client's shallow commits, not from the wants
	DeepenSince    int64          // Unix seconds; 0 for none
	DeepenNot      []string       // refs, full or short, whose history is not wanted

	Filter     Filter
	ThinPack   bool // deltas against objects that the client has are welcome
	NoProgress bool
	IncludeTag bool // send annotated tags whose targets are sent
	OfsDelta   bool

	WaitForDone   bool     // version 2: never send a pack before Done
	ServerOptions []string // version 2

	Acks      AckMode // version 0
	NoDone    bool    // version 0: the pack may follow "ready" at once
	Sideband  int     // longest packet of the pack's stream; 0 for none (version 0)
	OnlyWants bool    // version 0: the body ended after the wants; the client now awaits the shallow list only
}

// Deepens tells whether the request sets where history is cut off, so that
// shallow information is due.
func (q *FetchRequest) Deepens() bool {
	return q.Depth > 0 || q.DeepenSince != 0 || len(q.DeepenNot) > 0
}

// IsEmpty tells whether nothing is asked for: the answer is empty. Clients
// send such a request to probe whether they are let in.
func (q *FetchRequest) IsEmpty() bool {
	return len(q.Wants) == 0 && len(q.WantRefs) == 0 && !q.WaitForDone
}

// fetchParser holds what the lines of versions 0 and 2 have in common.
type fetchParser struct {
	req    *FetchRequest
	format git.ObjectFormat
	limits Limits
}

// shared reads one of the lines that mean the same in versions 0 and 2.
func (p *fetchParser) shared(line []byte) (known bool, err error) {
	q := p.req
	word, arg, _ := bytes.Cut(line, []byte{' '})
	switch string(word) {
	case "shallow":
		q.Shallow, err = p.appendID(q.Shallow, arg, p.limits.Shallow, "shallow commits")
	case "deepen":
		q.Depth, err = parseDepth(arg)
	case "deepen-since":
		q.DeepenSince, err = parseSince(arg)
	case "deepen-not":
		q.DeepenNot, err = p.appendName(q.DeepenNot, arg, p.limits.DeepenNot, "deepen-not refs")
	case "filter":
		if !q.Filter.IsZero() {
			return true, malformed("more than one filter; use combine:")
		}
		q.Filter, err = parseFilter(string(arg), p.limits.Filters)
	default:
		return false, nil
	}
	return true, err
}

// check refuses what no single line shows to be wrong.
func (p *fetchParser) check() error {
	q := p.req
	if q.Depth > 0 && (q.DeepenSince != 0 || len(q.DeepenNot) > 0) {
		return malformed("deepen and deepen-since (or deepen-not) cannot be used together")
	}
	return nil
}

func (p *fetchParser) appendID(ids []git.ObjectID, hex []byte, limit int, what string) ([]git.ObjectID, error) {
	id, err := parseID(p.format, hex)
	if err != nil {
		return nil, err
	}
	return append(ids, id), within(len(ids)+1, limit, what)
}

func (p *fetchParser) appendName(names []string, name []byte, limit int, what string) ([]string, error) {
	if err := checkName(name, p.limits); err != nil {
		return nil, err
	}
	return append(names, string(name)), within(len(names)+1, limit, what)
}

func parseDepth(arg []byte) (int, error) {
	n, err := strconv.ParseInt(string(arg), 10, 64)
	if err != nil || n <= 0 {
		return 0, malformed("invalid deepen %q", clip(arg))
	}
	return int(min(n, InfiniteDepth)), nil
}

func parseSince(arg []byte) (int64, error) {
	n, err := strconv.ParseInt(string(arg), 10, 64)
	if err != nil || n <= 0 {
		return 0, malformed("invalid deepen-since %q", clip(arg))
	}
	return n, nil
}

// checkName bounds a ref name or prefix and refuses what no ref can hold and
// no log should.
func checkName(name []byte, limits Limits) error {
	if err := within(len(name), limits.RefNameLength, "bytes in a ref name"); err != nil {
		return err
	}
	if len(name) == 0 || hasControl(name) {
		return malformed("bad ref name %q", clip(name))
	}
	return nil
}

func hasControl(b []byte) bool {
	for _, c := range b {
		if c < ' ' || c == 0x7f {
			return true
		}
	}
	return false
}

// parseID reads the id of an object of the repository's format. The id of
// zeros gives the zero ObjectID.
func parseID(f git.ObjectFormat, text []byte) (git.ObjectID, error) {
	if len(text) != f.HexSize() {
		return git.ObjectID{}, malformed("expected a %s object id, got %q", f, clip(text))
	}
	// Everybody writes ids in lower case and must read them in any.
	var raw [32]byte
	n, err := hex.Decode(raw[:], text)
	if err != nil {
		return git.ObjectID{}, malformed("expected an object id, got %q", clip(text))
	}
	id, err := git.ObjectIDFromBytes(raw[:n])
	if err != nil {
		return git.ObjectID{}, malformed("expected an object id: %w", err)
	}
	if id.IsZero() {
		return git.ObjectID{}, nil
	}
	return id, nil
}

// appendHex appends the id as it is on the wire.
func appendHex(b []byte, id git.ObjectID) []byte {
	if id.Format() == 0 {
		return append(b, git.ZeroHex...)
	}
	return hex.AppendEncode(b, id.Bytes())
}

func zeroHex(f git.ObjectFormat) string { return strings.Repeat("0", f.HexSize()) }
