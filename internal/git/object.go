package git

import "fmt"

// ObjectType is one of Git's four kinds of object. The values are those of
// the pack format.
type ObjectType uint8

// The four kinds of object.
const (
	CommitObject ObjectType = 1
	TreeObject   ObjectType = 2
	BlobObject   ObjectType = 3
	TagObject    ObjectType = 4
)

// ParseObjectType reads Git's word for a kind of object.
func ParseObjectType(s string) (ObjectType, error) {
	switch s {
	case "commit":
		return CommitObject, nil
	case "tree":
		return TreeObject, nil
	case "blob":
		return BlobObject, nil
	case "tag":
		return TagObject, nil
	}
	return 0, fmt.Errorf("unknown object type %q", clip(s))
}

// String returns Git's word for the kind.
func (t ObjectType) String() string {
	switch t {
	case CommitObject:
		return "commit"
	case TreeObject:
		return "tree"
	case BlobObject:
		return "blob"
	case TagObject:
		return "tag"
	}
	return "unknown"
}

// Valid tells whether t is one of the four kinds.
func (t ObjectType) Valid() bool { return t >= CommitObject && t <= TagObject }

// Object is a whole object in memory. Data is shared with caches: do not
// write to it.
type Object struct {
	Type ObjectType
	Data []byte
}
