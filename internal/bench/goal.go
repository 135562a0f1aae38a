//go:build linux

package main

import (
	"slices"
	"time"
)

// goal is what a line of the table shall reach: by itself, or beside another.
type goal struct {
	of      aspect
	against comparison
	least   bool    // the bound is the least, not the most
	bound   float64 // in the unit of what is judged; of a ratio, a number
}

// aspect is what of a figure is judged.
type aspect int

const (
	ofValue aspect = iota
	ofCPU
	ofMemory
)

// comparison is with what it is judged.
type comparison int

const (
	byItself   comparison = iota
	ratio                 // the subject's figure over the neighbour's
	difference            // the subject's figure less the neighbour's
)

func ratePerSecond(least float64) goal  { return goal{ofValue, byItself, true, least} }
func atMost(value float64) goal         { return goal{ofValue, byItself, false, value} }
func within(most time.Duration) goal    { return goal{ofValue, byItself, false, most.Seconds()} }
func memoryWithin(bytes int64) goal     { return goal{ofMemory, byItself, false, float64(bytes)} }
func ratioAtMost(most float64) goal     { return goal{ofValue, ratio, false, most} }
func ratioAtLeast(least float64) goal   { return goal{ofValue, ratio, true, least} }
func cpuRatioAtMost(most float64) goal  { return goal{ofCPU, ratio, false, most} }
func moreByAtMost(d time.Duration) goal { return goal{ofValue, difference, false, d.Seconds()} }

// in is what is judged of a figure.
func (a aspect) in(f figure) float64 {
	switch a {
	case ofCPU:
		return f.cpu.Seconds()
	case ofMemory:
		return float64(f.anon)
	}
	return f.value
}

// judge returns what was reached, sorted: a value for every run. The figures
// of one run are compared with each other, never those of different runs.
func (g goal) judge(own, subject []figure) []float64 {
	reached := make([]float64, 0, len(own))
	for run, f := range own {
		switch g.against {
		case byItself:
			reached = append(reached, g.of.in(f))
		case ratio:
			reached = append(reached, g.of.in(subject[run])/g.of.in(f))
		case difference:
			reached = append(reached, g.of.in(subject[run])-g.of.in(f))
		}
	}
	slices.Sort(reached)
	return reached
}

// met says whether the median of what was reached is good enough.
func (g goal) met(reached []float64) bool {
	if g.least {
		return median(reached) >= g.bound
	}
	return median(reached) <= g.bound
}

// text is the goal as the table shows it.
func (g goal) text(u unit) string {
	sign := "≤ "
	if g.least {
		sign = "≥ "
	}
	return sign + g.format(g.bound, u)
}

// result is what was reached as the table shows it: the figure itself where no
// other column has it, and the range over the runs where it is no figure.
func (g goal) result(reached []float64, u unit) string {
	verdict := "yes"
	if !g.met(reached) {
		verdict = "NO"
	}
	if g.against == byItself {
		return verdict
	}
	if g.against == difference {
		verdict += ", " + g.number(median(reached), u)
	}
	if least, most := reached[0], reached[len(reached)-1]; len(reached) > 1 {
		verdict += " (" + g.number(least, u) + " – " + g.number(most, u) + ")"
	}
	return verdict
}

// format writes a value of what is judged, and says what that is.
func (g goal) format(value float64, u unit) string {
	text := g.number(value, u)
	if g.against == difference {
		text += " more"
	}
	switch g.of {
	case ofCPU:
		text += " CPU"
	case ofMemory:
		text += " memory"
	}
	return text
}

func (g goal) number(value float64, u unit) string {
	if g.against == ratio {
		return times(value)
	}
	switch g.of {
	case ofCPU:
		u = duration
	case ofMemory:
		u = bytesUnit
	}
	return format(value, u)
}
