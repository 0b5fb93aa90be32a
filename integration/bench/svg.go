package main

import (
	"fmt"
	"math"
	"strings"
)

// bar is one line of a plot.
type bar struct {
	name  string
	value spread
	own   bool
}

// The plot's measures in pixels.
const (
	plotWidth = 760
	nameWidth = 210
	barWidth  = 400
	rowHeight = 22
	barHeight = 14
)

// plot is an SVG of what decides most: the round trip, and calls per second.
func plot(r *results) string {
	var b strings.Builder
	y := 0
	for _, p := range []struct {
		title string
		bars  []bar
		show  func(float64) string
	}{
		{"64 B round trip, median (shorter is better)", bars(r, wRTT, p50), duration},
		{"64 B calls per second, 64 callers (longer is better)", bars(r, wMany, rate), amount},
		{"64 B one-way messages per second (longer is better)", bars(r, wOneWay, rate), amount},
	} {
		if len(p.bars) > 0 {
			y = panel(&b, y, p.title, p.bars, p.show)
		}
	}
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">
<rect width="100%%" height="100%%" fill="#ffffff"/>
%s</svg>
`, plotWidth, y+rowHeight, plotWidth, y+rowHeight, b.String())
}

func bars(r *results, work string, of func(round) float64) []bar {
	var all []bar
	for _, p := range peers {
		if s := r.spread(work, p.key, of); s.N > 0 {
			all = append(all, bar{p.name, s, p.key == ours})
		}
	}
	return all
}

// panel draws bars on a logarithmic scale that begins at a power of ten, with a
// whisker from p10 to p90, and returns where the next panel begins.
func panel(b *strings.Builder, y int, title string, all []bar, show func(float64) string) int {
	low, high := math.Inf(1), 0.0
	for _, x := range all {
		low, high = min(low, x.value.P10), max(high, x.value.P90)
	}
	low = math.Pow(10, math.Floor(math.Log10(low)-0.2))
	at := func(v float64) float64 {
		return nameWidth + barWidth*math.Log(max(v, low)/low)/math.Log(high/low)
	}
	y += rowHeight
	fmt.Fprintf(b, `<text x="8" y="%d" font-weight="bold">%s</text>`+"\n", y+barHeight-2, escape(title+", logarithmic from "+show(low)))
	for _, x := range all {
		y += rowHeight
		color, middle := "#9aa5b1", y+barHeight/2
		if x.own {
			color = "#2563eb"
		}
		fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="end">%s</text>`, nameWidth-8, y+barHeight-2, escape(x.name))
		fmt.Fprintf(b, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>`, nameWidth, y, at(x.value.Median)-nameWidth, barHeight, color)
		fmt.Fprintf(b, `<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="#111827"/>`, at(x.value.P10), middle, at(x.value.P90), middle)
		fmt.Fprintf(b, `<text x="%.1f" y="%d">%s</text>`+"\n", at(x.value.P90)+6, y+barHeight-2, escape(show(x.value.Median)))
	}
	return y + rowHeight/2
}

func escape(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
}
