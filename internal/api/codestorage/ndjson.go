package codestorage

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"

	"github.com/cairn-storage/cairn/internal/cairn"
)

const (
	// maxChunk is the most bytes that one chunk may hold.
	maxChunk = 4 << 20
	// maxLines bounds what a body of tiny lines can cost.
	maxLines = 1_000_000
)

// lines reads a body line by line. A line ends with a line feed or with the
// body.
type lines struct {
	r     *bufio.Reader
	limit int
	count int
	buf   []byte
}

func newLines(body io.Reader, limit int) *lines {
	return &lines{r: bufio.NewReaderSize(body, 64<<10), limit: limit}
}

// next returns the next line that is not blank, or io.EOF. The line is good
// until the following call.
func (l *lines) next() ([]byte, error) {
	for {
		line, err := l.read()
		if line = bytes.TrimSpace(line); len(line) > 0 && (err == nil || errors.Is(err, io.EOF)) {
			return line, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

func (l *lines) read() ([]byte, error) {
	if l.count++; l.count > maxLines {
		return nil, cairn.Errorf(cairn.TooLarge, "the body has more than %d lines", maxLines)
	}
	l.buf = l.buf[:0]
	for {
		part, err := l.r.ReadSlice('\n')
		if len(l.buf)+len(part) > l.limit {
			return nil, cairn.Errorf(cairn.TooLarge, "line %d of the body is longer than %d bytes (max-line-size)", l.count, l.limit)
		}
		if len(l.buf) == 0 && !errors.Is(err, bufio.ErrBufferFull) {
			return part, bodyError(err)
		}
		l.buf = append(l.buf, part...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return l.buf, bodyError(err)
		}
	}
}

// bodyError tells the caller's faults from the end of the body.
func bodyError(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return cairn.Errorf(cairn.Invalid, "the body broke off: %w", err)
	}
	return err
}

// chunk is one line of content.
type chunk struct {
	contentID string
	data      []byte
	last      bool
}

// chunkLine is the shape of such a line.
type chunkLine struct {
	Chunk *struct {
		ContentID *string `json:"content_id"`
		Data      *string `json:"data"`
		Last      bool    `json:"eof"`
	} `json:"blob_chunk"`
}

// parseChunk reads a line of content. The data, most of any line, is cut out
// before the rest is taken for JSON, where that is plainly safe.
func parseChunk(line []byte) (chunk, error) {
	if c, ok := cutChunk(line); ok {
		return c.decode()
	}
	var l chunkLine
	if err := json.Unmarshal(line, &l); err != nil {
		return chunk{}, cairn.Errorf(cairn.Invalid, "a line of the body is not JSON of the form of a blob_chunk: %w", err)
	}
	if l.Chunk == nil {
		return chunk{}, cairn.Errorf(cairn.Invalid, "a line after the first one has no blob_chunk")
	}
	if l.Chunk.ContentID == nil || l.Chunk.Data == nil {
		return chunk{}, cairn.Errorf(cairn.Invalid, "a blob_chunk needs content_id and data")
	}
	return encodedChunk{*l.Chunk.ContentID, []byte(*l.Chunk.Data), l.Chunk.Last}.decode()
}

// encodedChunk is a chunk whose data is still base64.
type encodedChunk struct {
	contentID string
	data      []byte
	last      bool
}

var dataMember = []byte(`"data":"`)

// cutChunk reads a line whose only member named data is a string without
// escapes. Other lines, right or wrong, are left to the JSON decoder.
func cutChunk(line []byte) (encodedChunk, bool) {
	start := bytes.Index(line, dataMember)
	if start < 0 {
		return encodedChunk{}, false
	}
	start += len(dataMember)
	length := bytes.IndexByte(line[start:], '"')
	if length < 0 || len(line)-length > 4<<10 {
		return encodedChunk{}, false
	}
	data := line[start : start+length]
	if bytes.IndexByte(data, '\\') >= 0 {
		return encodedChunk{}, false
	}
	frame := append(append(make([]byte, 0, len(line)-length), line[:start]...), line[start+length:]...)
	if bytes.Count(frame, []byte("data")) != 1 {
		return encodedChunk{}, false
	}
	dec := json.NewDecoder(bytes.NewReader(frame))
	dec.DisallowUnknownFields() // so that the member found is the chunk's own
	var l chunkLine
	if err := dec.Decode(&l); err != nil || l.Chunk == nil || l.Chunk.ContentID == nil || l.Chunk.Data == nil || *l.Chunk.Data != "" {
		return encodedChunk{}, false
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return encodedChunk{}, false
	}
	return encodedChunk{*l.Chunk.ContentID, data, l.Chunk.Last}, true
}

// decode reads the base64 form of a chunk.
func (c encodedChunk) decode() (chunk, error) {
	data, err := decodeChunk("content_id "+strconv.Quote(cairn.Clip(c.contentID)), c.data)
	if err != nil {
		return chunk{}, err
	}
	return chunk{strings.Clone(c.contentID), data, c.last}, nil
}

// decodeChunk reads base64: standard alphabet, padded, nothing else.
func decodeChunk(of string, encoded []byte) ([]byte, error) {
	if len(encoded) > base64.StdEncoding.EncodedLen(maxChunk) {
		return nil, cairn.Errorf(cairn.TooLarge, "a chunk of %s is larger than %d bytes", of, maxChunk)
	}
	data := make([]byte, base64.StdEncoding.DecodedLen(len(encoded)))
	n, err := base64.StdEncoding.Strict().Decode(data, encoded)
	if err != nil || bytes.ContainsAny(encoded, "\r\n") { // which the decoder skips
		return nil, cairn.Errorf(cairn.Invalid, "the data of %s is not base64 with padding", of)
	}
	if n > maxChunk {
		return nil, cairn.Errorf(cairn.TooLarge, "a chunk of %s is larger than %d bytes", of, maxChunk)
	}
	return data[:n], nil
}

// parseDiffChunk reads a line of a patch.
func parseDiffChunk(line []byte) (data []byte, last bool, err error) {
	var l struct {
		Chunk *struct {
			Data *string `json:"data"`
			Last bool    `json:"eof"`
		} `json:"diff_chunk"`
	}
	if err := json.Unmarshal(line, &l); err != nil {
		return nil, false, cairn.Errorf(cairn.Invalid, "a line of the body is not JSON of the form of a diff_chunk: %w", err)
	}
	if l.Chunk == nil || l.Chunk.Data == nil {
		return nil, false, cairn.Errorf(cairn.Invalid, "a line after the first one has no diff_chunk with data")
	}
	data, err = decodeChunk("the diff", []byte(*l.Chunk.Data))
	return data, l.Chunk.Last, err
}
