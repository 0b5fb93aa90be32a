package identity

import "testing"

// A user's manager owns what lies below it, and can name it after a system's service.
func TestUnitAndContainer(t *testing.T) {
	for path, want := range map[string][2]string{
		"/":                                 {"", ""},
		"/system.slice/sshd.service":        {"sshd.service", ""},
		"/system.slice/a.service/b.service": {"a.service", ""},
		"/user.slice/user-7.slice/session-1.scope":                            {"session-1.scope", ""},
		"/user.slice/user-7.slice/user@7.service/app.slice/sshd.service":      {"user@7.service", ""},
		"/user.slice/user-7.slice/user@7.service/user.slice/libpod-abc.scope": {"user@7.service", ""},
		"/evil/sshd.service":                            {"", ""},
		"/system.slice/docker-0123.scope":               {"docker-0123.scope", "0123"},
		"/docker/0123":                                  {"", "0123"},
		"/machine.slice/libpod-77.scope/container":      {"libpod-77.scope", "77"},
		`/machine.slice/machine-my\x2dbox.scope`:        {`machine-my\x2dbox.scope`, "my-box"},
		"/kubepods.slice/kubepods-b.slice/crio-9.scope": {"crio-9.scope", "9"},
		"/lxc.payload.web/system.slice/nginx.service":   {"", "web"},
	} {
		if got := [2]string{unitOf(path), containerOf(path)}; got != want {
			t.Errorf("%s: unit and container %q, want %q", path, got, want)
		}
	}
	if got := unifiedCgroup("12:cpu:/a\n0::/b\n"); got != "/b" {
		t.Errorf("the unified hierarchy's path is %q", got)
	}
	if got := unifiedCgroup("12:cpu:/a\n"); got != "" {
		t.Errorf("without one: %q", got)
	}
}
