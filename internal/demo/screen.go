package demo

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// screen shows the steps: on a terminal a step appears when it begins and its
// time when it ends; elsewhere each is a plain line.
type screen struct {
	w        io.Writer
	terminal bool
	steps    int
}

const (
	dim    = "\x1b[2m"
	green  = "\x1b[32m"
	red    = "\x1b[31m"
	normal = "\x1b[0m"

	titleWidth = 66
)

// paint colours text on a terminal.
func (s *screen) paint(colour, text string) string {
	if !s.terminal {
		return text
	}
	return colour + text + normal
}

func (s *screen) line(text string) { fmt.Fprintln(s.w, text) }

func (s *screen) begin(title string) {
	s.steps++
	if s.terminal {
		fmt.Fprintf(s.w, "%2d. %s ", s.steps, title)
	}
}

// end shows how a step ended, and below it what there is to know about it:
// lines that begin with "$ " are commands.
func (s *screen) end(title string, took time.Duration, err error, notes []string) {
	mark := s.paint(green, duration(took))
	if err != nil {
		mark = s.paint(red, "FAILED after "+duration(took))
	}
	dots := strings.Repeat(".", max(3, titleWidth-utf8.RuneCountInString(title)))
	if s.terminal {
		fmt.Fprintf(s.w, "%s %s\n", s.paint(dim, dots), mark)
	} else {
		fmt.Fprintf(s.w, "%2d. %s %s %s\n", s.steps, title, dots, mark)
	}
	for _, note := range notes {
		if strings.HasPrefix(note, "$ ") {
			note = s.paint(dim, note)
		}
		fmt.Fprintf(s.w, "      %s\n", note)
	}
}

// duration writes a time with the digits that say something.
func duration(d time.Duration) string {
	switch {
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}
