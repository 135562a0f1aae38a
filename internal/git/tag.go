package git

import "fmt"

// Tag is a parsed annotated tag.
type Tag struct {
	Target  ObjectID
	Type    ObjectType // of Target
	Name    string
	Tagger  Signature // zero in very old tags
	Extra   []Header
	Message string
}

// ParseTag reads an annotated tag.
func ParseTag(f ObjectFormat, data []byte) (*Tag, error) {
	t := &Tag{}
	var order int
	var failed error
	err := eachHeader(data, func(name, value []byte) {
		if failed != nil {
			return
		}
		switch order++; {
		case order == 1 && string(name) == "object":
			if t.Target, failed = ParseObjectID(string(value)); failed == nil && t.Target.Format() != f {
				failed = fmt.Errorf("object of another format")
			}
		case order == 2 && string(name) == "type":
			t.Type, failed = ParseObjectType(string(value))
		case order == 3 && string(name) == "tag":
			t.Name = string(value)
		case order <= 3:
			failed = fmt.Errorf("%w %q in place %d", errHeader, clip(string(name)), order)
		case string(name) == "tagger":
			t.Tagger = ParseSignature(value)
		default:
			t.Extra = append(t.Extra, Header{string(name), string(value)})
		}
	}, func(message []byte) { t.Message = string(message) })
	if err == nil {
		err = failed
	}
	if err == nil && order < 3 {
		err = fmt.Errorf("%w: object, type and tag are required", errHeader)
	}
	if err != nil {
		return nil, fmt.Errorf("tag: %w", err)
	}
	return t, nil
}

// Encode returns the tag's bytes.
func (t *Tag) Encode() []byte {
	b := fmt.Appendf(nil, "object %s\ntype %s\ntag %s\n", t.Target, t.Type, t.Name)
	if t.Tagger.Email != "" || t.Tagger.Name != "" {
		b = append(t.Tagger.AppendTo(append(b, "tagger "...)), '\n')
	}
	b = appendHeaders(b, t.Extra)
	b = append(b, '\n')
	return append(b, t.Message...)
}
