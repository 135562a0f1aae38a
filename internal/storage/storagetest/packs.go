package storagetest

import (
	"bytes"
	"testing"

	"github.com/cairn-storage/cairn/internal/cairn"
)

// inline is a pack whose bytes lie in its row.
func inline(n, size int) cairn.Pack {
	p := pack(n)
	p.Key = ""
	p.Data = bytes.Repeat([]byte{0, byte(n), 0xff}, size/3+1)[:size]
	p.Index = []byte{byte(n), 0}
	p.Size, p.IndexSize = int64(size), 2
	return p
}

// bare is a pack as Manifest returns it.
func bare(p cairn.Pack) cairn.Pack {
	p.Data, p.Index = nil, nil
	return p
}

var packCases = map[string]func(*testing.T, store){
	"inline and in the bucket": func(t *testing.T, s store) {
		key := s.repository("site").RepositoryKey
		small, large, empty, outside := inline(1, 100), inline(2, 256<<10), inline(3, 0), pack(4)
		large.Role, outside.Role, outside.Sidecars = cairn.BlobPack, cairn.HistoryPack, true
		s.write(key, func(tx cairn.Tx, _ int64) error { return tx.Packs().Add(key, small, large, empty, outside) })
		s.view(func(tx cairn.Tx) error {
			for _, want := range []cairn.Pack{small, large, empty, outside} {
				got, err := tx.Packs().Get("acme", want.ID)
				if err != nil {
					return err
				}
				if !bytes.Equal(got.Data, want.Data) || !bytes.Equal(got.Index, want.Index) {
					t.Fatalf("pack %s: other bytes", want.ID)
				}
				same(t, "pack", bare(got), bare(want))
			}
			got, err := tx.Packs().Manifest(key)
			sameList(t, "manifest", got, []cairn.Pack{outside, bare(empty), bare(large), bare(small)})
			return err
		})
	},
	"absent": func(_ *testing.T, s store) {
		key := s.repository("site").RepositoryKey
		s.write(key, func(tx cairn.Tx, _ int64) error { return tx.Packs().Add(key, pack(1)) })
		s.absent(func(tx cairn.Tx) error { _, err := tx.Packs().Get("acme", packID(2)); return err })
		s.absent(func(tx cairn.Tx) error { _, err := tx.Packs().Get("other", packID(1)); return err })
	},
	"the manifest is without bytes, newest first": func(t *testing.T, s store) {
		key := s.repository("site").RepositoryKey
		for _, n := range []int{2, 3, 1} {
			s.write(key, func(tx cairn.Tx, _ int64) error { return tx.Packs().Add(key, inline(n, 10)) })
		}
		s.write(key, func(tx cairn.Tx, _ int64) error { return tx.Packs().Add(key, inline(3, 10)) }) // there already
		s.view(func(tx cairn.Tx) error {
			got, err := tx.Packs().Manifest(key)
			same(t, "manifest", got, []cairn.Pack{bare(inline(1, 10)), bare(inline(3, 10)), bare(inline(2, 10))})
			return err
		})
	},
	"the organization's first copy is shared": func(t *testing.T, s store) {
		a, b, other := s.repository("a").RepositoryKey, s.repository("b").RepositoryKey, s.repositoryOf("other", "c").RepositoryKey
		first, second := pack(1), pack(1)
		second.Key, second.CreatedAt = "packs/elsewhere", day(20)
		s.write(a, func(tx cairn.Tx, _ int64) error { return tx.Packs().Add(a, first) })
		s.write(b, func(tx cairn.Tx, _ int64) error { return tx.Packs().Add(b, second) })
		s.write(other, func(tx cairn.Tx, _ int64) error { return tx.Packs().Add(other, second) })
		s.view(func(tx cairn.Tx) error {
			for key, want := range map[cairn.RepositoryKey]cairn.Pack{a: first, b: first, other: second} {
				got, err := tx.Packs().Manifest(key)
				if err != nil {
					return err
				}
				same(t, "manifest", got, []cairn.Pack{want})
			}
			return nil
		})
	},
	"replaced": func(t *testing.T, s store) {
		key := s.repository("site").RepositoryKey
		s.write(key, func(tx cairn.Tx, _ int64) error { return tx.Packs().Add(key, pack(1), pack(2), pack(3)) })
		s.write(key, func(tx cairn.Tx, _ int64) error {
			return tx.Packs().Replace(key, []cairn.PackID{packID(1), packID(3)}, []cairn.Pack{pack(4), pack(3)}, day(5))
		})
		sameList(t, "manifest", s.manifest(key), []cairn.PackID{packID(4), packID(3), packID(2)})
		sameList(t, "garbage", s.garbage(day(6)), []cairn.PackID{packID(1)})
		sameList(t, "garbage, a day earlier", s.garbage(day(5)), nil)
		s.refuseWrite(cairn.Conflict, key, func(tx cairn.Tx, _ int64) error {
			return tx.Packs().Replace(key, []cairn.PackID{packID(2), packID(1)}, []cairn.Pack{pack(5)}, day(7))
		})
		sameList(t, "manifest after a conflict", s.manifest(key), []cairn.PackID{packID(4), packID(3), packID(2)})
	},
	"debts": func(t *testing.T, s store) {
		history, blobs := pack(1), pack(2)
		history.Role, blobs.Role = cairn.HistoryPack, cairn.BlobPack
		a, b, c := s.repositoryOf("a", "1").RepositoryKey, s.repositoryOf("a", "2").RepositoryKey, s.repositoryOf("c", "1").RepositoryKey
		if b.Repository < a.Repository {
			a, b = b, a
		}
		s.repositoryOf("b", "empty")
		s.write(a, func(tx cairn.Tx, _ int64) error { return tx.Packs().Add(a, history, blobs, inline(3, 30), pack(4)) })
		s.write(b, func(tx cairn.Tx, _ int64) error { return tx.Packs().Share(a, b) })
		s.write(b, func(tx cairn.Tx, _ int64) error { return tx.Packs().Add(b, pack(5)) })
		s.write(c, func(tx cairn.Tx, _ int64) error { return tx.Packs().Add(c, blobs) })
		sum := func(packs ...cairn.Pack) (z cairn.PacksSize) {
			for _, p := range packs {
				z.Add(p)
			}
			return z
		}
		want := []cairn.Debt{
			{RepositoryKey: a, Repacked: sum(history, blobs), Since: sum(inline(3, 30), pack(4))},
			{RepositoryKey: b, Repacked: sum(history, blobs), Since: sum(inline(3, 30), pack(4), pack(5))},
			{RepositoryKey: c, Repacked: sum(blobs)},
		}
		s.view(func(tx cairn.Tx) error {
			var got []cairn.Debt
			after := cairn.RepositoryKey{}
			for _, n := range []int{2, 9, 9} {
				page, err := tx.Packs().Debts(after, n)
				if err != nil {
					return err
				}
				if got = append(got, page...); len(got) > 0 {
					after = got[len(got)-1].RepositoryKey
				}
			}
			sameList(t, "debts", got, want)
			return nil
		})
	},
	"the size of the garbage": func(t *testing.T, s store) {
		size := func() (z cairn.PacksSize) {
			s.view(func(tx cairn.Tx) (err error) { z, err = tx.Packs().GarbageSize(); return err })
			return z
		}
		same(t, "size of none", size(), cairn.PacksSize{})
		key := s.repository("site").RepositoryKey
		s.write(key, func(tx cairn.Tx, _ int64) error { return tx.Packs().Add(key, pack(1), inline(2, 20), pack(3)) })
		s.write(key, func(tx cairn.Tx, _ int64) error {
			return tx.Packs().Replace(key, []cairn.PackID{packID(1), packID(2)}, nil, day(5))
		})
		var want cairn.PacksSize
		want.Add(pack(1))
		want.Add(inline(2, 20))
		same(t, "size", size(), want)
	},
	"what a fork names is no garbage": func(t *testing.T, s store) {
		key, fork := s.repository("site").RepositoryKey, s.repository("fork").RepositoryKey
		for _, n := range []int{11, 12, 13} {
			s.write(key, func(tx cairn.Tx, _ int64) error { return tx.Packs().Add(key, pack(n)) })
		}
		s.write(fork, func(tx cairn.Tx, _ int64) error { return tx.Packs().Share(key, fork) })
		s.write(fork, func(tx cairn.Tx, _ int64) error { return tx.Packs().Add(fork, pack(3)) })
		inherited := []cairn.PackID{packID(3), packID(13), packID(12), packID(11)} // what the fork adds is newer
		sameList(t, "manifest of the fork", s.manifest(fork), inherited)
		s.write(key, func(tx cairn.Tx, _ int64) error {
			return tx.Packs().Replace(key, []cairn.PackID{packID(11), packID(12)}, []cairn.Pack{pack(4)}, day(5))
		})
		sameList(t, "garbage while the fork names them", s.garbage(day(9)), nil)
		sameList(t, "manifest", s.manifest(key), []cairn.PackID{packID(4), packID(13)})
		again := s.repository("fork-of-fork").RepositoryKey
		s.write(again, func(tx cairn.Tx, _ int64) error { return tx.Packs().Share(fork, again) })
		sameList(t, "manifest of the fork's fork", s.manifest(again), inherited)
		for i, one := range []cairn.RepositoryKey{fork, again} {
			s.write(one, func(tx cairn.Tx, _ int64) error {
				return tx.Packs().Replace(one, []cairn.PackID{packID(11)}, nil, day(6+i))
			})
		}
		s.view(func(tx cairn.Tx) error {
			got, err := tx.Packs().Garbage(day(9), 9)
			same(t, "garbage", got, []cairn.GarbagePack{{Organization: "acme", ID: packID(11), Key: "packs/11", Since: day(7)}})
			return err
		})
	},
	"packs are not shared between organizations": func(_ *testing.T, s store) {
		a, b := s.repositoryOf("a", "site").RepositoryKey, s.repositoryOf("b", "site").RepositoryKey
		s.write(a, func(tx cairn.Tx, _ int64) error { return tx.Packs().Add(a, pack(1)) })
		s.refuseWrite(cairn.Internal, b, func(tx cairn.Tx, _ int64) error { return tx.Packs().Share(a, b) })
	},
	"garbage is collected once": func(t *testing.T, s store) {
		key := s.repository("site").RepositoryKey
		s.write(key, func(tx cairn.Tx, _ int64) error { return tx.Packs().Add(key, pack(1), inline(2, 5), pack(3)) })
		for n, at := range []int{5, 3, 4} {
			s.write(key, func(tx cairn.Tx, _ int64) error {
				return tx.Packs().Replace(key, []cairn.PackID{packID(n + 1)}, nil, day(at))
			})
		}
		sameList(t, "garbage, oldest first", s.garbage(day(9)), []cairn.PackID{packID(2), packID(3), packID(1)})
		s.view(func(tx cairn.Tx) error {
			got, err := tx.Packs().Garbage(day(9), 1)
			same(t, "one of it", got, []cairn.GarbagePack{{Organization: "acme", ID: packID(2), Since: day(3)}})
			return err
		})
		collect := func(n int, want bool) {
			t.Helper()
			s.update(func(tx cairn.Tx) error {
				got, err := tx.Packs().Collect("acme", packID(n))
				same(t, "collected", got, want)
				return err
			})
		}
		collect(1, true)
		collect(1, false)
		s.absent(func(tx cairn.Tx) error { _, err := tx.Packs().Get("acme", packID(1)); return err })
		// Named again, it is spared, and forgotten as garbage.
		s.write(key, func(tx cairn.Tx, _ int64) error { return tx.Packs().Add(key, pack(3)) })
		collect(3, false)
		sameList(t, "garbage", s.garbage(day(9)), []cairn.PackID{packID(2)})
		s.view(func(tx cairn.Tx) error { _, err := tx.Packs().Get("acme", packID(3)); return err })
		collect(9, false)
	},
	"garbage that was named meanwhile is so from the later time": func(t *testing.T, s store) {
		key := s.repository("site").RepositoryKey
		for _, at := range []int{3, 6} {
			s.write(key, func(tx cairn.Tx, _ int64) error { return tx.Packs().Add(key, pack(1)) })
			s.write(key, func(tx cairn.Tx, _ int64) error {
				return tx.Packs().Replace(key, []cairn.PackID{packID(1)}, nil, day(at))
			})
		}
		sameList(t, "garbage before the later time", s.garbage(day(6)), nil)
		sameList(t, "garbage after it", s.garbage(day(7)), []cairn.PackID{packID(1)})
	},
}
