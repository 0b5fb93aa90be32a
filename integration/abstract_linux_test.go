package integration_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A name in Linux's abstract namespace has no permissions and is reached from every
// container of the network: neither the registry nor its clients and services have one.
func TestNoAbstractSockets(t *testing.T) {
	w := begin(t, theService)
	c := w.to(serviceName)
	pids := []int{w.registry.Process.Pid, c.pid("the service runs"), os.Getpid()}
	text, err := os.ReadFile("/proc/net/unix")
	must(t, err)
	abstract := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) == 8 && strings.HasPrefix(f[7], "@") {
			abstract["socket:["+f[6]+"]"] = f[7]
		}
	}
	for _, pid := range pids {
		links, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
		must(t, err)
		sockets := 0
		for _, link := range links {
			to, _ := os.Readlink(link)
			if strings.HasPrefix(to, "socket:") {
				sockets++
			}
			if name := abstract[to]; name != "" {
				t.Errorf("process %d has the socket %s", pid, name)
			}
		}
		if sockets == 0 {
			t.Errorf("process %d has no socket at all: the test sees nothing", pid)
		}
	}
}
