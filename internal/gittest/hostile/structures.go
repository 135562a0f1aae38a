package hostile

import (
	"fmt"
	"strings"

	"github.com/cairn-storage/cairn/internal/git"
)

// structures is what is well formed by itself and leads to what is not there,
// or what Git should not follow.
func structures() []Case {
	bad := func(name, why, reason string, write func(p *pack) git.ObjectID) Case {
		return Case{Name: name, Why: why, Verdict: ByRepository, Reason: reason, Make: making(write)}
	}
	const missing = "missing necessary objects"
	file := func(name string, id git.ObjectID) git.TreeEntry {
		return git.TreeEntry{Mode: git.ModeFile, Name: name, ID: id}
	}
	folder := func(name string, id git.ObjectID) git.TreeEntry {
		return git.TreeEntry{Mode: git.ModeTree, Name: name, ID: id}
	}
	modules := func(text string) func(p *pack) git.ObjectID {
		return func(p *pack) git.ObjectID { return p.commit(p.tree(file(".gitmodules", p.blob(text))), "modules") }
	}
	return []Case{
		bad("missing-tip", "a ref to nothing", missing, func(p *pack) git.ObjectID { p.blob("x"); return absent }),
		bad("missing-parent", "a history that breaks off", missing, func(p *pack) git.ObjectID { return p.commit(p.tree(), "x", absent) }),
		bad("missing-tree", "a commit of nothing", missing, func(p *pack) git.ObjectID { return p.commit(absent, "x") }),
		bad("missing-subtree", "a folder of nothing", missing, func(p *pack) git.ObjectID { return p.commit(p.tree(folder("d", absent)), "x") }),
		bad("missing-blob", "a file of nothing", missing, func(p *pack) git.ObjectID { return p.commit(p.tree(file("f", absent)), "x") }),
		bad("blob-as-tree", "a file that is read as a folder", missing, func(p *pack) git.ObjectID { return p.commit(p.tree(folder("d", p.blob("x"))), "x") }),
		bad("tree-as-blob", "a folder that is read as a file", missing, func(p *pack) git.ObjectID { return p.commit(p.tree(file("f", p.tree())), "x") }),
		bad("tree-as-parent", "a folder that is read as a commit", missing, func(p *pack) git.ObjectID {
			tree := p.tree()
			return p.commit(tree, "x", tree)
		}),
		bad("tag-chain-100000", "a chain that each look at a ref has to follow", missing, func(p *pack) git.ObjectID {
			id, t := p.commit(p.tree(), "x"), git.CommitObject
			for i := range 100_000 {
				id, t = p.tag(id, t, fmt.Sprint("t", i)), git.TagObject
			}
			return id
		}),
		bad("tree-depth-100000", "a path that a walk descends until its stack is gone", missing, func(p *pack) git.ObjectID { return p.commit(deep(p, 100_000), "deep") }),
		bad("tree-depth-4097", "the same, just over the limit", missing, func(p *pack) git.ObjectID { return p.commit(deep(p, 4097), "deep") }),
		bad("gitmodules-name", "a submodule that is checked out beside the repository", "gitmodulesName", modules("[submodule \"../../x\"]\n\tpath = x\n\turl = https://example.com/x\n")),
		bad("gitmodules-url", "an address that is read as an option", "gitmodulesUrl", modules("[submodule \"x\"]\n\tpath = x\n\turl = -oProxyCommand=x\n")),
		bad("gitmodules-path", "a path that is read as an option", "gitmodulesPath", modules("[submodule \"x\"]\n\tpath = -x\n\turl = https://example.com/x\n")),
		bad("gitmodules-large", "settings that are read into memory", "gitmodulesLarge", modules(strings.Repeat("# no settings\n", 100_000))),
		bad("gitmodules-100001", "as many versions of them", "more than 100000 versions of .gitmodules", func(p *pack) git.ObjectID {
			for i := range 100_001 {
				p.tree(file(".gitmodules", idOf(git.BlobObject, fmt.Append(nil, i))))
			}
			return absent
		}),
	}
}

// deep writes a tree of so many levels below the first.
func deep(p *pack, levels int) git.ObjectID {
	id := p.tree(git.TreeEntry{Mode: git.ModeFile, Name: "f", ID: p.blob("bottom\n")})
	for range levels {
		id = p.tree(git.TreeEntry{Mode: git.ModeTree, Name: "d", ID: id})
	}
	return id
}
