package bootstrap_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/openxpc/openxpc/xpc/bootstrap"
)

func TestCheckName(t *testing.T) {
	long := strings.Repeat("n", bootstrap.MaxName)
	for _, name := range []string{"com.example.echo", "a", "org.example.grüße", long} {
		if err := bootstrap.CheckName(name); err != nil {
			t.Errorf("a name of R213 is refused: %v", err)
		}
	}
	for _, name := range []string{"", long + "n", "a/b", "a\x00b", "a\nb", "\x7f", "\xff"} {
		if err := bootstrap.CheckName(name); !errors.Is(err, bootstrap.ErrBadName) {
			t.Errorf("%q: got %v, want ErrBadName", name, err)
		}
	}
}

func TestCodesHaveNames(t *testing.T) {
	for c := bootstrap.NotPrivileged; c <= bootstrap.Changed; c++ {
		if strings.HasPrefix(c.String(), "error ") {
			t.Errorf("code %d has no name", int64(c))
		}
	}
	for _, c := range []bootstrap.Code{bootstrap.BadJob, bootstrap.Disabled, bootstrap.NotRunning} {
		if strings.HasPrefix(c.String(), "error ") {
			t.Errorf("code %d has no name", int64(c))
		}
	}
	if got, want := bootstrap.Code(7).String(), "error 7"; got != want {
		t.Errorf("an unknown code: got %q, want %q", got, want)
	}
}

func ExampleCode() {
	fmt.Println(bootstrap.UnknownService, bootstrap.BadJob)
	// Output: unknown service bad job file
}

func ExampleCheckName() {
	fmt.Println(bootstrap.CheckName("com.example.echo"))
	fmt.Println(bootstrap.CheckName("com/example"))
	// Output:
	// <nil>
	// bad service name: "com/example" contains '/'
}
