// Package protocol parses and encodes Git's wire protocol, versions 0, 1 and
// 2, over stateless HTTP: pkt-lines, side-bands, ref advertisements, fetch
// requests and their answers, push requests and their reports, as a server
// reads and writes them, and as a client of other servers does (client*.go). It
// works on readers and writers alone and never touches an object or a ref.
//
// Its one rule: every reader is total. Whatever bytes arrive, it returns a
// value or an error, and it allocates for what it has read, never for what a
// length or a count claims. Malformed input has ErrProtocol in the chain of
// its error; too much of it is a *LimitError.
//
// Which objects exist, who may see them and what goes into a pack is left to
// the caller. The formats follow gitprotocol-common(5), gitprotocol-pack(5),
// gitprotocol-capabilities(5), gitprotocol-v2(5) and gitprotocol-http(5).
package protocol
