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
	number                // of things
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

func size(bytes int64) figure   { return figure{float64(bytes), bytesUnit, 0, 0} }
func count(things int64) figure { return figure{float64(things), number, 0, 0} }

// table gathers the figures of all runs.
type table struct {
	lines []*line
}

// line is one subject's figures, or those of what stands beside it.
type line struct {
	name    string
	subject *line // that this one stands beside; nil: it is one itself
	figures []figure
	goals   []goal
}

// add takes the figure of a subject.
func (t *table) add(name string, f figure, goals ...goal) { t.put(name, nil, f, goals) }

// beside takes a figure of what is compared with a subject that was added in
// the same run. Goals that compare do so with it.
func (t *table) beside(name, subject string, f figure, goals ...goal) {
	for _, l := range t.lines {
		if l.name == subject && l.subject == nil {
			t.put(name, l, f, goals)
			return
		}
	}
	panic("bench: no subject " + subject)
}

func (t *table) put(name string, subject *line, f figure, goals []goal) {
	for _, l := range t.lines {
		if l.name == name && l.subject == subject {
			l.figures = append(l.figures, f)
			return
		}
	}
	t.lines = append(t.lines, &line{name, subject, []figure{f}, goals})
}

// print writes the table in Markdown: the median over the runs, their range
// where there are several, and what has a goal beside it.
func (t *table) print(w io.Writer) error {
	rows := [][]string{{"", "median", "range", "CPU each", "peak RssAnon", "ratio", "of CPU", "goal", "reached"}}
	for _, l := range t.lines {
		rows = append(rows, l.row())
	}
	return writeRows(w, rows)
}

// row is the line as the table shows it.
func (l *line) row() []string {
	name := l.name
	if l.subject != nil {
		name = "· " + name
	}
	unit := l.figures[0].unit
	values := l.column(func(f figure) float64 { return f.value })
	spread := ""
	if len(values) > 1 {
		spread = format(values[0], unit) + " – " + format(values[len(values)-1], unit)
	}
	var goals, results []string
	for _, g := range l.goals {
		goals = append(goals, g.text(unit))
		results = append(results, g.result(l.reached(g), unit))
	}
	return []string{
		name,
		format(median(values), unit),
		spread,
		orNothing(median(l.column(func(f figure) float64 { return f.cpu.Seconds() })), duration),
		orNothing(slices.Max(l.column(func(f figure) float64 { return float64(f.anon) })), bytesUnit),
		l.over(ofValue),
		l.over(ofCPU),
		strings.Join(goals, "; "),
		strings.Join(results, "; "),
	}
}

// over is the subject's figure over that of the line that stands beside it.
func (l *line) over(of aspect) string {
	if l.subject == nil || l.subject.figures[0].unit != l.figures[0].unit || of.in(l.figures[0]) == 0 || of.in(l.subject.figures[0]) == 0 {
		return ""
	}
	g := goal{of: of, against: ratio}
	return g.number(median(l.reached(g)), l.figures[0].unit)
}

// reached is what the line reached of a goal, a value for every run, sorted.
func (l *line) reached(g goal) []float64 {
	if l.subject == nil {
		return g.judge(l.figures, nil)
	}
	return g.judge(l.figures, l.subject.figures)
}

// verdict says how many goals are met, and names the others. It is empty if
// there are none.
func (t *table) verdict() string {
	all := 0
	var missed []string
	for _, l := range t.lines {
		for _, g := range l.goals {
			all++
			reached := l.reached(g)
			if g.met(reached) {
				continue
			}
			name, unit := l.name, l.figures[0].unit
			if l.subject != nil {
				name = l.subject.name + ", beside " + name
			}
			missed = append(missed, fmt.Sprintf("- %s: %s, goal %s", name, g.format(median(reached), unit), g.text(unit)))
		}
	}
	if all == 0 {
		return ""
	}
	text := fmt.Sprintf("%d of %d goals reached.", all-len(missed), all)
	if len(missed) > 0 {
		text += " Missed:\n\n" + strings.Join(missed, "\n")
	}
	return text
}

// writeRows writes a table in Markdown whose first row is the head.
func writeRows(w io.Writer, rows [][]string) error {
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
	if value < 0 {
		return "-" + format(-value, u)
	}
	switch u {
	case perSecond:
		return digits(value) + " /s"
	case number:
		return thousands(int64(value + 0.5))
	case bytesUnit:
		return formatBytes(value)
	}
	switch {
	case value < 1e-3:
		return digits(value*1e6) + " µs"
	case value < 1:
		return digits(value*1e3) + " ms"
	}
	return digits(value) + " s"
}

func formatBytes(value float64) string {
	switch {
	case value < 1<<10:
		return fmt.Sprintf("%.0f B", value)
	case value < 1<<20:
		return digits(value/(1<<10)) + " KiB"
	}
	return digits(value/(1<<20)) + " MiB"
}

// times writes a ratio.
func times(value float64) string {
	if value < 0.1 {
		return strconv.FormatFloat(value, 'g', 2, 64) + "×"
	}
	return digits(value) + "×"
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
