// Package soak says how often a test does what is demanded many times: a few times
// in the ordinary run, and as often as demanded behind make soak. Only tests import it.
package soak

import (
	"os"
	"strconv"
)

// Variable says which part of the demanded numbers is to be done: 1 is all, 0.1 a tenth.
const Variable = "XPC_SOAK_FIGURES"

// Times is few, or with the Variable set that part of many, but not less than few.
func Times(few, many int) int {
	part, err := strconv.ParseFloat(os.Getenv(Variable), 64)
	if err != nil {
		return few
	}
	return max(few, int(part*float64(many)))
}
