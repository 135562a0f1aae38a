package hostile

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/cairn-storage/cairn/internal/git"
)

// heavy is what every Git takes and nobody should have to read whole.
func heavy() []Case {
	legal := func(name, why string, write func(p *pack) git.ObjectID) Case {
		return Case{Name: name, Why: why, Verdict: Legal, Make: making(write)}
	}
	return []Case{
		legal("tree-bomb", "ten levels of ten times the same folder: 10^10 paths of eleven objects", func(p *pack) git.ObjectID { return p.commit(bomb(p, "boom\n"), "bomb") }),
		legal("tree-bombs", "two of them that differ at the bottom: a diff of 2*10^10 paths", func(p *pack) git.ObjectID {
			first := p.commit(bomb(p, "boom\n"), "first")
			return p.commit(bomb(p, "bang\n"), "second", first)
		}),
		legal("tree-depth-4000", "the deepest that is allowed", func(p *pack) git.ObjectID { return p.commit(deep(p, 4000), "deep") }),
		legal("tree-500000-entries", "a folder of 18 MB", func(p *pack) git.ObjectID {
			tree := wide(p, 500_000)
			return p.commit(tree, "again", p.commit(tree, "wide"))
		}),
		legal("commit-100000-parents", "a commit of 4.8 MB, its parents all different", func(p *pack) git.ObjectID {
			tree := p.tree(git.TreeEntry{Mode: git.ModeFile, Name: "f", ID: p.blob("x")})
			root := p.commit(tree, "root")
			parents := make([]git.ObjectID, 100_000)
			for i := range parents {
				parents[i] = p.commit(tree, fmt.Sprint("parent ", i), root)
			}
			other := p.tree(git.TreeEntry{Mode: git.ModeFile, Name: "f", ID: p.blob("y")})
			return p.commit(other, "octopus", parents...)
		}),
		legal("diff-equal-lines", "two files of 200,000 equal lines, some more in one", func(p *pack) git.ObjectID {
			return p.twice(bytes.Repeat([]byte("x\n"), 200_000), bytes.Repeat([]byte("x\n"), 200_100))
		}),
		legal("diff-no-order", "the worst for the search of a shortest diff: lines in common, in no common order", func(p *pack) git.ObjectID {
			return p.twice(noise(1, 200_000), noise(2, 200_000))
		}),
		legal("diff-one-line", "two lines of 4 MB", func(p *pack) git.ObjectID {
			return p.twice(bytes.Repeat([]byte("ab"), 2<<20), bytes.Repeat([]byte("ba"), 2<<20))
		}),
		legal("diff-renames", "ten thousand files renamed and changed: a comparison of each with each", renames),
	}
}

// bomb writes ten levels of folders, each with the same folder ten times.
func bomb(p *pack, text string) git.ObjectID {
	id, mode := p.blob(text), git.ModeFile
	for range 10 {
		entries := make([]git.TreeEntry, 10)
		for i := range entries {
			entries[i] = git.TreeEntry{Mode: mode, Name: fmt.Sprint("f", i), ID: id}
		}
		id, mode = p.tree(entries...), git.ModeTree
	}
	return id
}

// twice writes two versions of one file, and returns the commit of the second.
func (p *pack) twice(a, b []byte) git.ObjectID {
	var last []git.ObjectID
	for _, data := range [][]byte{a, b} {
		tree := p.tree(git.TreeEntry{Mode: git.ModeFile, Name: "f", ID: p.object(git.BlobObject, data)})
		last = []git.ObjectID{p.commit(tree, "version", last...)}
	}
	return last[0]
}

// noise returns lines of one of twenty letters each.
func noise(seed uint64, lines int) []byte {
	b := make([]byte, 0, 2*lines)
	for range lines {
		seed = seed*6364136223846793005 + 1442695040888963407
		b = append(b, 'a'+byte(seed>>33%20), '\n')
	}
	return b
}

// renames writes a commit that renames and changes ten thousand files.
func renames(p *pack) git.ObjectID {
	var last []git.ObjectID
	for version := range 2 {
		entries := make([]git.TreeEntry, 10_000)
		for i := range entries {
			text := fmt.Appendf(nil, "%s%d %d\n", bytes.Repeat(fmt.Appendf(nil, "line of file %d\n", i), 20), i, version)
			entries[i] = git.TreeEntry{Mode: git.ModeFile, Name: fmt.Sprintf("v%d-%05d", version, i*7%10_000), ID: p.object(git.BlobObject, text)}
		}
		slices.SortFunc(entries, git.CompareTreeEntries)
		last = []git.ObjectID{p.commit(p.tree(entries...), "version", last...)}
	}
	return last[0]
}

// The SHAttered attack (Stevens et al., 2017, https://shattered.io): two
// different pairs of blocks after the same prefix give the same SHA-1.
const (
	shatteredPrefix = "255044462d312e330a25e2e3cfd30a0a0a312030206f626a0a3c3c2f57696474" +
		"682032203020522f4865696768742033203020522f547970652034203020522f" +
		"537562747970652035203020522f46696c7465722036203020522f436f6c6f72" +
		"53706163652037203020522f4c656e6774682038203020522f42697473506572" +
		"436f6d706f6e656e7420383e3e0a73747265616d0affd8fffe00245348412d31" +
		"20697320646561642121212121852fec092339759c39b1a1c63c4c97e1fffe01"
	shatteredBlocks1 = "7346dc9166b67e118f029ab621b2560ff9ca67cca8c7f85ba84c79030c2b3de2" +
		"18f86db3a90901d5df45c14f26fedfb3dc38e96ac22fe7bd728f0e45bce046d2" +
		"3c570feb141398bb552ef5a0a82be331fea48037b8b5d71f0e332edf93ac3500" +
		"eb4ddc0decc1a864790c782c76215660dd309791d06bd0af3f98cda4bc4629b1"
	shatteredBlocks2 = "7f46dc93a6b67e013b029aaa1db2560b45ca67d688c7f84b8c4c791fe02b3df6" +
		"14f86db1690901c56b45c1530afedfb76038e972722fe7ad728f0e4904e046c2" +
		"30570fe9d41398abe12ef5bc942be33542a4802d98b5d70f2a332ec37fac3514" +
		"e74ddc0f2cc1a874cd0c78305a21566461309789606bd0bf3f98cda8044629a1"
)

// Shattered returns the published pair of different bytes, 320 of each, that
// have the same SHA-1 when nothing precedes them. As blobs they differ: Git's
// header undoes the attack, and nobody has published one for Git's objects.
func Shattered() (a, b []byte) {
	var pair [2][]byte
	for i, blocks := range []string{shatteredBlocks1, shatteredBlocks2} {
		data, err := hex.DecodeString(shatteredPrefix + blocks)
		if err != nil {
			panic(err)
		}
		pair[i] = data
	}
	return pair[0], pair[1]
}
