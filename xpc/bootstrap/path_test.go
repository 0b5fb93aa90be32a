package bootstrap

import (
	"slices"
	"testing"
)

func TestPaths(t *testing.T) {
	const system = "/run/xpc/registry.sock"
	tests := []struct {
		why  string
		env  map[string]string
		uid  int
		goos string
		want []string
	}{
		{"an explicit registry does not climb", map[string]string{"XPC_REGISTRY": "/x/r.sock", "XDG_RUNTIME_DIR": "/run/user/7"}, 7, "linux", []string{"/x/r.sock"}},
		{"a user's own comes before the system's", map[string]string{"XDG_RUNTIME_DIR": "/run/user/7"}, 7, "linux", []string{"/run/user/7/xpc/registry.sock", system}},
		{"without a runtime folder the user's is in /tmp", nil, 7, "linux", []string{"/tmp/xpc-7/registry.sock", system}},
		{"a relative runtime folder is ignored", map[string]string{"XDG_RUNTIME_DIR": "run"}, 7, "linux", []string{"/tmp/xpc-7/registry.sock", system}},
		{"root's registry is the system's", map[string]string{"XDG_RUNTIME_DIR": "/run/user/0"}, 0, "linux", []string{system}},
		{"only Linux has /run for certain", nil, 0, "openbsd", []string{"/var/run/xpc/registry.sock"}},
	}
	for _, tt := range tests {
		got := paths(func(k string) string { return tt.env[k] }, tt.uid, tt.goos)
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %q, want %q", tt.why, got, tt.want)
		}
	}
}
