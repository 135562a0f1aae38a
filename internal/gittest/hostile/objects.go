package hostile

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/cairn-storage/cairn/internal/git"
)

// objects is what no repository should hold.
func objects() []Case {
	raw := func(t git.ObjectType, data func(blob git.ObjectID) []byte) func() Push {
		return making(func(p *pack) git.ObjectID { return p.object(t, data(p.blob("x"))) })
	}
	tree := func(parts ...string) func() Push { // modes and names
		return raw(git.TreeObject, func(blob git.ObjectID) []byte {
			var b []byte
			for _, part := range parts {
				b = append(append(append(b, part...), 0), blob.Bytes()...)
			}
			return b
		})
	}
	commit := func(text string) func() Push {
		return raw(git.CommitObject, func(git.ObjectID) []byte {
			return []byte(strings.NewReplacer("{tree}", absent.String(), "{who}", author).Replace(text))
		})
	}
	bad := func(name, why, reason string, mk func() Push) Case {
		return Case{Name: name, Why: why, Verdict: ByCheck, Reason: reason, Make: mk}
	}
	return []Case{
		bad("tree-unsorted", "another tree for the same files", "treeNotSorted", tree("100644 b", "100644 a")),
		bad("tree-duplicate", "which of the two is the file?", "duplicateEntries", tree("100644 a", "100644 a")),
		bad("tree-file-and-folder", "the same, one of them a folder", "duplicateEntries", tree("100644 a", "100644 a.b", "40000 a")),
		bad("tree-zero-padded", "another tree for the same files", "zeroPaddedFilemode", tree("0100644 a")),
		bad("tree-mode", "a mode that no file has", "badFilemode", tree("7 a")),
		bad("tree-mode-endless", "a number that never ends", "badTree", tree(strings.Repeat("7", 1<<20)+" a")),
		bad("tree-dotgit", "a checkout writes into .git", "hasDotgit", tree("100644 .git")),
		bad("tree-dotgit-case", "the same where case does not matter", "hasDotgit", tree("100644 .GiT")),
		bad("tree-dotgit-short", "the same by its short name", "hasDotgit", tree("100644 git~1")),
		bad("tree-dotgit-ignored", "the same with a character that HFS+ ignores", "hasDotgit", tree("100644 .g\u200cit")),
		bad("tree-dotgit-stream", "the same by a stream of NTFS", "hasDotgit", tree("100644 .git::$INDEX_ALLOCATION")),
		bad("tree-dotdot", "a checkout writes beside the repository", "hasDotdot", tree("100644 ..")),
		bad("tree-dot", "a folder that holds itself", "hasDot", tree("100644 .")),
		bad("tree-slash", "a checkout writes elsewhere", "fullPathname", tree("100644 a/b")),
		bad("tree-nul", "a name that ends where others read on", "badTree", tree("100644 a\x00b")),
		bad("tree-empty-name", "a file without a name", "badTree", tree("100644 ")),
		bad("tree-null-id", "an entry that names nothing", "nullSha1", raw(git.TreeObject, func(git.ObjectID) []byte {
			return append([]byte("100644 a\x00"), make([]byte, 20)...)
		})),
		bad("tree-truncated", "reads past the end", "badTree", raw(git.TreeObject, func(git.ObjectID) []byte { return []byte("100644 a\x00abc") })),
		bad("tree-as-delta", "the same, made by a delta", "badTree", making(func(p *pack) git.ObjectID {
			base := git.EncodeTree([]git.TreeEntry{{Mode: git.ModeFile, Name: "a", ID: p.blob("x")}})
			p.delta(p.object(git.TreeObject, base), newDelta(uint64(len(base)), 9).copy(0, 9))
			return absent
		})),
		bad("gitmodules-symlink", "git reads settings from where the link leads", "gitmodulesSymlink", tree("120000 .gitmodules")),
		bad("commit-nul-in-header", "a header that ends where others read on", "nulInHeader", commit("tree {tree}\nauthor {who}\ncommitter {who}\x00\n\nx\n")),
		bad("commit-nul", "a message that ends where others read on", "nulInCommit", commit("tree {tree}\nauthor {who}\ncommitter {who}\n\nx\x00y\n")),
		bad("commit-no-author", "nobody did it", "missingAuthor", commit("tree {tree}\ncommitter {who}\n\nx\n")),
		bad("commit-two-authors", "which of the two did it?", "multipleAuthors", commit("tree {tree}\nauthor {who}\nauthor {who}\ncommitter {who}\n\nx\n")),
		bad("commit-no-tree", "a commit of nothing", "missingTree", commit("author {who}\ncommitter {who}\n\nx\n")),
		bad("commit-date-overflow", "a date that turns negative", "badDateOverflow", commit("tree {tree}\nauthor A <a> 99999999999999999999 +0000\ncommitter {who}\n\nx\n")),
		bad("commit-bad-parent", "a parent that is no id", "badParentSha1", commit("tree {tree}\nparent 1234\nauthor {who}\ncommitter {who}\n\nx\n")),
		bad("commit-unterminated", "a header without an end", "unterminatedHeader", commit("tree {tree}")),
		bad("commit-email", "an address that breaks what quotes it", "badEmail", commit("tree {tree}\nauthor A <a<b> 1 +0000\ncommitter {who}\n\nx\n")),
		bad("tag-no-type", "a tag of anything", "badTag", raw(git.TagObject, func(blob git.ObjectID) []byte {
			return fmt.Appendf(nil, "object %s\ntag x\n\nx\n", blob)
		})),
		{Name: "commit-100MB", Why: "a message that is read into memory with each log", Reason: "commit size",
			Make: making(func(p *pack) git.ObjectID {
				p.entry(byte(git.CommitObject), 100<<20, nil, zeros(100))
				return absent
			})},
		{Name: "commit-9MB-as-delta", Why: "the same, made by a delta", Reason: "commit size",
			Make: making(func(p *pack) git.ObjectID {
				base := commitBytes(absent, strings.Repeat("m", 60_000))
				d := newDelta(uint64(len(base)), uint64(len(base))+150*60_000).copy(0, len(base))
				for range 150 {
					d = d.copy(uint32(len(base)-60_000), 60_000)
				}
				p.delta(p.object(git.CommitObject, base), d)
				return absent
			})},
		{Name: "commit-million-parents", Why: "48 MB of parents in 100 KB", Reason: "commit size",
			Make: making(func(p *pack) git.ObjectID {
				head := fmt.Appendf(nil, "tree %s\n", absent)
				head = append(head, bytes.Repeat(fmt.Appendf(nil, "parent %s\n", absent), 1_000_000)...)
				data := fmt.Appendf(head, "author %s\ncommitter %s\n\nx\n", author, author)
				p.entry(byte(git.CommitObject), uint64(len(data)), nil, deflate(data))
				return absent
			})},
		{Name: "tag-100MB", Why: "a message that is read into memory with each list of tags", Reason: "tag size",
			Make: making(func(p *pack) git.ObjectID {
				p.entry(byte(git.TagObject), 100<<20, nil, zeros(100))
				return absent
			})},
		{Name: "tree-million-entries", Why: "a folder that each read takes into memory", Reason: "tree size",
			Make: making(func(p *pack) git.ObjectID { return p.commit(wide(p, 1_000_000), "wide") })},
	}
}

// wide writes a tree of so many files.
func wide(p *pack, files int) git.ObjectID {
	blob := p.blob("x")
	data := make([]byte, 0, files*37)
	for i := range files {
		data = append(fmt.Appendf(data, "100644 f%07d\x00", i), blob.Bytes()...)
	}
	return p.object(git.TreeObject, data)
}
