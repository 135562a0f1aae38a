//go:build linux

package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// unit is how a figure is written.
type unit int

const (
	perSecond unit = iota // operations per second
	duration              // seconds
	bytesUnit             // bytes
)

// figure is the result of one measurement.
type figure struct {
	value float64 // in its unit
	unit  unit
	cpu   time.Duration // per operation; of the server, or of the processes of git; 0: not measured
	anon  int64         // the server's peak; 0: not measured
}

func rate(perSecondValue float64, cpu time.Duration, anon int64) figure {
	return figure{perSecondValue, perSecond, cpu, anon}
}

func took(d, cpu time.Duration, anon int64) figure {
	return figure{d.Seconds(), duration, cpu, anon}
}

// table gathers the figures of all runs.
type table struct {
	lines []*line
}

// line is one subject's figures, or those of what stands beside it.
type line struct {
	name    string
	beside  bool
	figures []figure
}

// add takes the figure of a subject.
func (t *table) add(name string, f figure) { t.put(name, false, f) }

// beside takes a figure of what is compared with a subject that was added.
func (t *table) beside(name, subject string, f figure) { t.put(subject+": "+name, true, f) }

func (t *table) put(name string, beside bool, f figure) {
	for _, l := range t.lines {
		if l.name == name {
			l.figures = append(l.figures, f)
			return
		}
	}
	t.lines = append(t.lines, &line{name, beside, []figure{f}})
}

// print writes the table in Markdown: the median over the runs, and their
// range where there are several.
func (t *table) print(w io.Writer) error {
	rows := [][]string{{"", "median", "range", "CPU each", "peak RssAnon"}}
	for _, l := range t.lines {
		name := l.name
		if l.beside {
			_, name, _ = strings.Cut(name, ": ")
			name = "· " + name
		}
		values := l.column(func(f figure) float64 { return f.value })
		spread := ""
		if len(values) > 1 {
			spread = format(values[0], l.figures[0].unit) + " – " + format(values[len(values)-1], l.figures[0].unit)
		}
		rows = append(rows, []string{
			name,
			format(median(values), l.figures[0].unit),
			spread,
			orNothing(median(l.column(func(f figure) float64 { return f.cpu.Seconds() })), duration),
			orNothing(slices.Max(l.column(func(f figure) float64 { return float64(f.anon) })), bytesUnit),
		})
	}
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for i, row := range rows {
		if i == 1 {
			if _, err := fmt.Fprintln(w, rule(widths)); err != nil {
				return err
			}
		}
		var text strings.Builder
		for i, cell := range row {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i == 0 {
				text.WriteString("| " + cell + pad + " ")
			} else {
				text.WriteString("| " + pad + cell + " ")
			}
		}
		if _, err := fmt.Fprintln(w, text.String()+"|"); err != nil {
			return err
		}
	}
	return nil
}

func rule(widths []int) string {
	var b strings.Builder
	for i, width := range widths {
		b.WriteString("|" + strings.Repeat("-", width+1))
		if i == 0 {
			b.WriteString("-")
		} else {
			b.WriteString(":")
		}
	}
	return b.String() + "|"
}

// column returns one value of every run, sorted.
func (l *line) column(value func(figure) float64) []float64 {
	column := make([]float64, len(l.figures))
	for i, f := range l.figures {
		column[i] = value(f)
	}
	slices.Sort(column)
	return column
}

// median is the middle of sorted values.
func median(sorted []float64) float64 { return sorted[len(sorted)/2] }

func orNothing(value float64, u unit) string {
	if value == 0 {
		return ""
	}
	return format(value, u)
}

// format writes a value with three digits or so.
func format(value float64, u unit) string {
	switch {
	case u == perSecond:
		return digits(value) + " /s"
	case u == bytesUnit:
		return digits(value/(1<<20)) + " MiB"
	case value < 1e-3:
		return digits(value*1e6) + " µs"
	case value < 1:
		return digits(value*1e3) + " ms"
	}
	return digits(value) + " s"
}

func digits(value float64) string {
	switch {
	case value < 10:
		return fmt.Sprintf("%.2f", value)
	case value < 100:
		return fmt.Sprintf("%.1f", value)
	case value < 1000:
		return fmt.Sprintf("%.0f", value)
	}
	return thousands(int64(value + 0.5))
}

func thousands(n int64) string {
	if n < 1000 {
		return strconv.FormatInt(n, 10)
	}
	return fmt.Sprintf("%s,%03d", thousands(n/1000), n%1000)
}
