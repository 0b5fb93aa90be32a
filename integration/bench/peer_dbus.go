package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

var sdBusPeer = &peer{
	key: "sdbus", name: "D-Bus, sd-bus in C", note: "through dbus-daemon; one thread, so no concurrent callers",
	prepare: startBus,
	program: func(s *site) (string, error) {
		if exec.Command("pkg-config", "--exists", "libsystemd").Run() != nil {
			return "", skip("libsystemd-dev (or pkg-config) is not installed")
		}
		return s.compile("sdbus", "-lsystemd")
	},
}

// What the bus calls the echo service.
const (
	busName      = "org.openxpc.Bench"
	busPath      = "/bench"
	busInterface = "org.openxpc.Bench"
)

// busConfig is a bus without policy, and limits as a session's bus has them.
const busConfig = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path=%s</listen>
  <auth>EXTERNAL</auth>
  <policy context="default"><allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/></policy>
  <limit name="max_incoming_bytes">1000000000</limit>
  <limit name="max_outgoing_bytes">1000000000</limit>
  <limit name="max_message_size">134217728</limit>
  <limit name="max_completed_connections">100000</limit>
  <limit name="max_incomplete_connections">10000</limit>
  <limit name="max_connections_per_user">100000</limit>
  <limit name="max_replies_per_connection">50000</limit>
</busconfig>
`

// startBus starts a dbus-daemon of our own, one for each system that uses it.
func startBus(s *site, r *running) (string, error) {
	daemon, err := exec.LookPath("dbus-daemon")
	if err != nil {
		return "", skip("dbus-daemon is not installed")
	}
	socket := filepath.Join(s.dir, r.peer.key+".bus")
	config := socket + ".conf"
	if err := os.WriteFile(config, fmt.Appendf(nil, busConfig, socket), 0o600); err != nil {
		return "", err
	}
	d, err := s.start(nil, daemon, "--config-file="+config, "--nofork", "--nopidfile")
	if err != nil {
		return "", err
	}
	r.brokers = append(r.brokers, d)
	return "unix:path=" + socket, s.await(socket)
}
