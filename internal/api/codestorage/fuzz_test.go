package codestorage

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/cairn-storage/cairn/internal/cairn"
)

// slowChunk reads a line of content without the short way.
func slowChunk(line []byte) (chunk, error) {
	var l chunkLine
	if err := json.Unmarshal(line, &l); err != nil {
		return chunk{}, err
	}
	if l.Chunk == nil || l.Chunk.ContentID == nil || l.Chunk.Data == nil {
		return chunk{}, errors.New("incomplete")
	}
	return encodedChunk{*l.Chunk.ContentID, []byte(*l.Chunk.Data), l.Chunk.Last}.decode()
}

func FuzzNDJSON(f *testing.F) {
	for _, seed := range []string{
		`{"metadata":{"target_branch":"main","commit_message":"m","author":{"name":"a","email":"b"},"files":[{"path":"x","content_id":"c"}]}}` + "\n" +
			`{"blob_chunk":{"content_id":"c","data":"eA==","eof":true}}`,
		`{"blob_chunk":{"data":"eA==","data":"eQ==","content_id":"c"}}`,
		`{"blob_chunk":{"x":{"data":"eA=="},"content_id":"c","data":"eQ==","eof":true}}`,
		`{"blob_chunk":{"content_id":"\"data\":\"","data":"\/w==","eof":false}}`,
		`{"blob_chunk":{"content_id":"data","data":"eA=="}}`,
		"{\"blob_chunk\":{\"content_id\":\"c\",\"data\":\"eA\r==\"}}",
		`{"BLOB_CHUNK":{"Content_ID":"c","DATA":"eA=="}}`,
		"\r\n \n{}\n[",
		`{"metadata":null}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		const limit = 1 << 12
		l := newLines(bytes.NewReader(body), limit)
		if _, err := readMetadata(l); err != nil && !isCallersFault(err) {
			t.Fatalf("metadata: %v", err)
		}
		for {
			line, err := l.next()
			if err != nil {
				if !errors.Is(err, io.EOF) && !isCallersFault(err) {
					t.Fatalf("line: %v", err)
				}
				return
			}
			if len(line) > limit {
				t.Fatalf("line of %d bytes", len(line))
			}
			got, gotErr := parseChunk(line)
			want, wantErr := slowChunk(line)
			if (gotErr == nil) != (wantErr == nil) || got.contentID != want.contentID || !bytes.Equal(got.data, want.data) || got.last != want.last {
				t.Fatalf("line %q\n got %+v, %v\nwant %+v, %v", line, got, gotErr, want, wantErr)
			}
		}
	})
}

// FuzzDiffChunk reads the lines of a patch: what is taken is the bytes that were
// meant, and written again it is read the same.
func FuzzDiffChunk(f *testing.F) {
	for _, seed := range []string{
		`{"diff_chunk":{"data":"eA==","eof":true}}`,
		`{"diff_chunk":{"data":"","eof":false}}`,
		`{"diff_chunk":{"data":"eA","eof":true}}`,
		`{"diff_chunk":{"data":"e\nA==","eof":true}}`,
		`{"diff_chunk":{"eof":true}}`,
		`{"diff_chunk":null}`,
		`{"blob_chunk":{"content_id":"c","data":"eA==","eof":true}}`,
		`{"diff_chunk":{"data":"eA==","data":"eQ=="}}`,
		`[]`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		data, last, err := parseDiffChunk(line)
		if err != nil {
			if !isCallersFault(err) {
				t.Fatalf("line %q: %v", line, err)
			}
			return
		}
		if !json.Valid(line) || len(data) > maxChunk || last && !bytes.Contains(line, []byte("true")) {
			t.Fatalf("line %q is taken: %d bytes, last %v", line, len(data), last)
		}
		written := fmt.Appendf(nil, `{"diff_chunk":{"data":%q,"eof":%v}}`, base64.StdEncoding.EncodeToString(data), last)
		again, againLast, err := parseDiffChunk(written)
		if err != nil || !bytes.Equal(again, data) || againLast != last {
			t.Fatalf("line %q is %q, which is read as %q, %v, %v", line, written, again, againLast, err)
		}
	})
}

func isCallersFault(err error) bool {
	return errors.Is(err, cairn.Invalid) || errors.Is(err, cairn.TooLarge)
}

func FuzzRange(f *testing.F) {
	for _, seed := range []string{"bytes=0-4", "bytes=-5", "bytes=5-", "bytes=0-0,1-2", "bytes=9223372036854775807-9223372036854775808", "bytes= 1 - 2", "bytes=-", "x"} {
		f.Add(seed, int64(10))
		f.Add(seed, int64(0))
	}
	f.Fuzz(func(t *testing.T, header string, size int64) {
		if size < 0 {
			return
		}
		part, outcome := parseRange(header, size)
		switch outcome {
		case rangeGood:
			if part.start < 0 || part.length < 1 || part.start > size-part.length {
				t.Fatalf("parseRange(%q, %d) = %+v", header, size, part)
			}
		case rangeIgnored, rangeUnsatisfiable:
			if part != (span{}) {
				t.Fatalf("parseRange(%q, %d) = %+v, %v", header, size, part, outcome)
			}
		}
	})
}

func FuzzDate(f *testing.F) {
	f.Add("2026-01-02T03:04:05Z")
	f.Add("2026-01-02 03:04:05 +0200")
	f.Fuzz(func(t *testing.T, s string) {
		if when, err := parseDate(s); err == nil && s != "" && when.IsZero() && !strings.HasPrefix(s, "0001") {
			t.Fatalf("parseDate(%q) is no time", s)
		}
	})
}

func BenchmarkParseChunk(b *testing.B) {
	data := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("0123456789abcdef"), maxChunk/16))
	line := []byte(`{"blob_chunk":{"content_id":"c","data":"` + data + `","eof":false}}`)
	for _, c := range []struct {
		name  string
		parse func([]byte) (chunk, error)
	}{{"cut", parseChunk}, {"json", slowChunk}} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(maxChunk)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.parse(line); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
