package egress

import (
	"io"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/cairn-storage/cairn/internal/cairn"
)

// maxAddress is the longest address in bytes.
const maxAddress = 2048

// parse reads an address and refuses what other programs could read in another
// way.
func parse(text string) (*url.URL, error) {
	bad := func(why string) error { return cairn.Errorf(cairn.Invalid, "the address %s", why) }
	if len(text) > maxAddress {
		return nil, bad("is longer than " + strconv.Itoa(maxAddress) + " bytes")
	}
	for i := range len(text) {
		if c := text[i]; c <= ' ' || c >= 0x7f || c == '\\' {
			return nil, bad("holds a space, a backslash, a control or a non-ASCII character; write it percent-encoded, a host name in its xn-- form")
		}
	}
	u, err := url.Parse(text)
	if err != nil || u.Opaque != "" || u.Host == "" {
		return nil, bad("is not of the form https://host/path")
	}
	query, err := url.PathUnescape(u.RawQuery)
	if err != nil || hasControl(u.Path) || hasControl(query) {
		return nil, bad("holds an encoded control character")
	}
	if strings.Contains(text, "#") {
		return nil, bad("has a fragment, which is never sent")
	}
	return u, nil
}

func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// checkParsed refuses an address whose text shows that it must not be called.
func (e *Egress) checkParsed(u *url.URL) error {
	switch {
	case u.Scheme == "http" && len(e.options.Allow) == 0, u.Scheme != "http" && u.Scheme != "https":
		return cairn.Errorf(cairn.Invalid, "the address must begin with https://")
	case u.User != nil:
		return cairn.Errorf(cairn.Invalid, "the address holds a user name or a password")
	}
	if port := u.Port(); port != "" || strings.HasSuffix(u.Host, ":") {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || port[0] == '0' {
			return cairn.Errorf(cairn.Invalid, "the address has no proper port")
		}
	}
	host := u.Hostname()
	if ip, err := netip.ParseAddr(host); err == nil {
		if u.Scheme == "http" {
			return e.checkAddress(ip, true)
		}
		return e.checkAddress(ip, false)
	}
	if !isHostName(host) {
		return cairn.Errorf(cairn.Invalid, "%q is not a host name", cairn.Clip(host))
	}
	return nil
}

// isHostName tells whether a host is a name in the only form that all programs
// read alike. One whose last label is a number (2130706433, 0x7f.1, 127.1) is
// an address of IPv4 to some.
func isHostName(host string) bool {
	if host == "" || len(host) > 253 {
		return false
	}
	last := ""
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			c := label[i]
			if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
				return false
			}
		}
		last = label
	}
	if strings.Trim(last, "0123456789") == "" {
		return false
	}
	hex := strings.ToLower(last)
	return !strings.HasPrefix(hex, "0x") || strings.Trim(hex[2:], "0123456789abcdef") != ""
}

func (e *Egress) checkSecure(at netip.AddrPort) error { return e.check(at, false) }

func (e *Egress) checkPlain(at netip.AddrPort) error { return e.check(at, true) }

// check decides about one connection.
func (e *Egress) check(at netip.AddrPort, plain bool) error {
	if err := e.checkAddress(at.Addr(), plain); err != nil {
		return err
	}
	if slices.Contains(e.options.Own(), at.Port()) && isOwn(at.Addr()) {
		return ErrForbidden
	}
	return nil
}

// checkAddress allows what is in an allowed range, and with TLS what is public.
func (e *Egress) checkAddress(ip netip.Addr, plain bool) error {
	if ip.Zone() != "" {
		return ErrForbidden
	}
	ip = ip.Unmap()
	if translated.Contains(ip) {
		b := ip.As16()
		ip = netip.AddrFrom4([4]byte(b[12:]))
	}
	for _, allowed := range e.options.Allow {
		if allowed.Contains(ip) {
			return nil
		}
	}
	if plain || !isPublic(ip) {
		return ErrForbidden
	}
	return nil
}

// translated is where IPv6-only networks have the addresses of IPv4 (NAT64).
var translated = netip.MustParsePrefix("64:ff9b::/96")

// reserved are ranges that are not public, with the few addresses among the
// public ones where clouds answer their own machines. Of IPv6 these are only
// those in global, all else being reserved.
var reserved = prefixes(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
	"192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
	"224.0.0.0/4", "240.0.0.0/4",
	"168.63.129.16/32",                                     // Azure
	"2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", // Teredo and other forms of IPv4, documentation, 6to4
)

var global = netip.MustParsePrefix("2000::/3")

func prefixes(texts ...string) []netip.Prefix {
	list := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		list[i] = netip.MustParsePrefix(text)
	}
	return list
}

func isPublic(ip netip.Addr) bool {
	if !ip.Is4() && !global.Contains(ip) {
		return false
	}
	return !slices.ContainsFunc(reserved, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// isOwn tells whether an address is one of this machine. If that cannot be
// found out, it is.
func isOwn(ip netip.Addr) bool {
	ip = ip.Unmap()
	if ip.IsLoopback() || ip.IsUnspecified() {
		return true
	}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return true
	}
	return slices.ContainsFunc(addresses, func(a net.Addr) bool {
		own, err := netip.ParsePrefix(a.String())
		return err == nil && own.Addr().Unmap() == ip
	})
}

// boundedBody is a body of which only so much may be read.
type boundedBody struct {
	io.ReadCloser
	left int64
}

// Read reads; ErrTooMuch when there is more than may be read.
func (b *boundedBody) Read(p []byte) (int, error) {
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	if int64(n) > b.left {
		n = int(b.left)
		b.left = 0
		return n, ErrTooMuch
	}
	b.left -= int64(n)
	return n, err
}
