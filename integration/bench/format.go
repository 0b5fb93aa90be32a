package main

import (
	"fmt"
	"math"
)

// duration writes nanoseconds as a person would.
func duration(ns float64) string {
	switch {
	case ns == 0 || math.IsNaN(ns):
		return "–"
	case ns < 1e6:
		return digits(ns/1e3) + " µs"
	case ns < 1e9:
		return digits(ns/1e6) + " ms"
	}
	return digits(ns/1e9) + " s"
}

// amount writes a number in thousands or millions.
func amount(n float64) string {
	switch a := math.Abs(n); {
	case math.IsNaN(n) || math.IsInf(n, 0):
		return "–"
	case a >= 1e9:
		return digits(n/1e9) + " G"
	case a >= 1e6:
		return digits(n/1e6) + " M"
	case a >= 1e4:
		return digits(n/1e3) + " k"
	}
	return digits(n)
}

// plain is a small number, "–" if there is none.
func plain(n float64) string {
	if n == 0 || math.IsNaN(n) || math.IsInf(n, 0) {
		return "–"
	}
	return digits(n)
}

// times writes a ratio.
func times(s spread) string {
	if s.N == 0 {
		return "–"
	}
	return digits(s.Median) + "×"
}

// digits keeps three digits that count.
func digits(n float64) string {
	switch a := math.Abs(n); {
	case a < 0.005:
		return "0" // and not -0.00
	case a >= 100:
		return fmt.Sprintf("%.0f", n)
	case a >= 10:
		return fmt.Sprintf("%.1f", n)
	}
	return fmt.Sprintf("%.2f", n)
}

// micros writes nanoseconds as microseconds; differences may be negative.
func micros(ns float64) string { return fmt.Sprintf("%.2f µs", ns/1e3) }
