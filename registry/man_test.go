package registry

import (
	"os"
	"strings"
	"testing"
)

// The man page has every key of launchd's.
func TestManPage(t *testing.T) {
	page, err := os.ReadFile("../docs/man/xpc-service.5")
	if err != nil {
		t.Fatal(err)
	}
	described := map[string]bool{}
	for line := range strings.Lines(string(page)) {
		if rest, ok := strings.CutPrefix(line, ".It Sy "); ok {
			for _, word := range strings.FieldsFunc(rest, func(r rune) bool { return r == ',' || r == ' ' || r == '\n' }) {
				described[word] = true
			}
		}
	}
	for key := range keys {
		if !described[key] {
			t.Errorf("xpc-service(5) does not describe %q", key)
		}
	}
}
