package pack

import (
	"bytes"
	"io"
	"math/rand/v2"
	"testing"
)

// TestSpool compares a spool with a slice under random operations.
func TestSpool(t *testing.T) {
	t.Parallel()
	for _, threshold := range []int64{-1, 0, 1000, 1 << 20, 1 << 40} {
		s := NewSpool(threshold, tempFile(t))
		var want []byte
		r := rand.New(rand.NewPCG(1, uint64(threshold)))
		for range 3000 {
			switch r.IntN(12) {
			case 0:
				if len(want) > 0 {
					n := len(want) - r.IntN(min(len(want), 3000))
					want = want[:n]
					if err := s.Truncate(int64(n)); err != nil {
						t.Fatal(err)
					}
				}
			case 1:
				if len(want) > 10 {
					off := r.IntN(len(want) - 10)
					copy(want[off:], "0123456789")
					if _, err := s.WriteAt([]byte("0123456789"), int64(off)); err != nil {
						t.Fatal(err)
					}
				}
			case 2:
				if err := s.Freeze(); err != nil {
					t.Fatal(err)
				}
			case 3, 4:
				if len(want) > 0 {
					off := r.IntN(len(want))
					n := 1 + r.IntN(5000)
					got, err := s.View(int64(off), n)
					if err != nil || len(got) == 0 || !bytes.HasPrefix(want[off:min(off+n, len(want))], got) {
						t.Fatalf("view of %d at %d in %d: %d, %v", n, off, len(want), len(got), err)
					}
				}
			case 5:
				p := bytes.Repeat([]byte{byte(r.Uint32())}, spoolBuffer/2+r.IntN(spoolBuffer))
				want = append(want, p...)
				s.Write(p)
			default:
				p := bytes.Repeat([]byte{byte(r.Uint32())}, r.IntN(2000))
				want = append(want, p...)
				s.Write(p)
			}
			if s.Size() != int64(len(want)) {
				t.Fatalf("size %d, want %d", s.Size(), len(want))
			}
			if len(want) > 4<<20 {
				want = want[:100]
				if err := s.Truncate(100); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := s.Freeze(); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Bytes(); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("threshold %d: other bytes, %v", threshold, err)
		}
		var out bytes.Buffer
		if _, err := s.WriteTo(&out); err != nil || !bytes.Equal(out.Bytes(), want) {
			t.Fatalf("WriteTo: %v", err)
		}
		if f := s.File(); f != nil {
			if got, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<40)); err != nil || !bytes.Equal(got, want) {
				t.Fatalf("file holds other bytes, %v", err)
			}
		} else if threshold < 1000 {
			t.Errorf("threshold %d: all in memory", threshold)
		}
		if _, err := s.View(s.Size(), 1); err != io.EOF {
			t.Errorf("view at the end: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Write([]byte{1}); err == nil {
			t.Error("write after Close")
		}
		if _, err := s.View(0, 1); err == nil {
			t.Error("view after Close")
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestSpoolWithoutFiles(t *testing.T) {
	t.Parallel()
	s := NewSpool(10, nil)
	defer s.Close()
	data := bytes.Repeat([]byte("x"), 1000)
	if _, err := s.Write(data); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Bytes(); err != nil || !bytes.Equal(got, data) || s.File() != nil {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}
