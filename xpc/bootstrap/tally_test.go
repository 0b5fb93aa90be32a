package bootstrap_test

import (
	"fmt"
	"testing"
	"unsafe"

	"github.com/openxpc/openxpc/xpc/bootstrap"
)

func TestTallySize(t *testing.T) {
	if got := unsafe.Sizeof(bootstrap.Tally{}); got != bootstrap.TallySize {
		t.Errorf("a Tally has %d bytes, its file %d", got, bootstrap.TallySize)
	}
}

func ExampleTally() {
	var t bootstrap.Tally
	t.Open.Add(2)
	t.Open.Or(bootstrap.Ending)
	fmt.Println(t.Open.Load()&^bootstrap.Ending, "open, and to end")
	// Output: 2 open, and to end
}

func ExampleTallyName() {
	fmt.Println(bootstrap.TallyName(5, 1, 4711))
	// Output: 5:1:4711
}
