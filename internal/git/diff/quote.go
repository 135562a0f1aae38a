package diff

// Names in patches are quoted as with core.quotePath on, git's default: a name
// with control characters, quotes, backslashes or bytes beyond ASCII is put
// into double quotes and those are escaped as in C.

// quoteName returns prefix+name, quoted if either needs it.
func quoteName(prefix, name string) string {
	if !needsQuotes(prefix) && !needsQuotes(name) {
		return prefix + name
	}
	b := make([]byte, 0, len(prefix)+2*len(name)+2)
	b = append(b, '"')
	b = appendEscaped(b, prefix)
	b = appendEscaped(b, name)
	return string(append(b, '"'))
}

func needsQuotes(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			return true
		}
	}
	return false
}

func appendEscaped(b []byte, s string) []byte {
	const named = "abtnvfr" // from 7 on
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c >= 7 && c < 7+byte(len(named)):
			b = append(b, '\\', named[c-7])
		case c < ' ' || c >= 0x7f:
			b = append(b, '\\', '0'+c>>6, '0'+c>>3&7, '0'+c&7)
		default:
			b = append(b, c)
		}
	}
	return b
}
