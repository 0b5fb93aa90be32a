package registry

import (
	"fmt"
	"strings"
	"testing"
)

func parseSockets(text string) (*Job, error) {
	return ParseJob("/jobs/x.json", []byte(`{"Label": "x", "Program": "/p", "Sockets": `+text+`}`))
}

func TestSockets(t *testing.T) {
	for _, c := range []struct{ text, network, address string }{
		{`{"SockPathName": "/run/s"}`, "unix", "/run/s"},
		{`{"SockPathName": "s", "SockType": "dgram"}`, "unixgram", "/jobs/s"},
		{`{"SockPathName": "s", "SockType": "seqpacket", "SockPassive": true}`, "unixpacket", "/jobs/s"},
		{`{"SockServiceName": "8080"}`, "tcp", ":8080"},
		{`{"SockServiceName": 8080, "SockNodeName": "localhost", "SockFamily": "IPv4"}`, "tcp4", "127.0.0.1:8080"},
		{`{"SockServiceName": "80", "SockNodeName": "::1", "SockFamily": "IPv6"}`, "tcp6", "[::1]:80"},
		{`{"SockServiceName": "53", "SockType": "dgram", "SockProtocol": "UDP"}`, "udp", ":53"},
		{`{"SockServiceName": "53", "SockProtocol": "UDP", "Bonjour": false}`, "udp", ":53"},
		{`{"SecureSocketWithKey": "SSH_AUTH_SOCK"}`, "unix", ""},
	} {
		j, err := parseSockets(`{"Listeners": ` + c.text + `}`)
		if err != nil || len(j.Sockets) != 1 || j.Sockets[0].Network != c.network || j.Sockets[0].Address != c.address || len(j.Warnings) != 0 {
			t.Errorf("%s: %+v, %v, want %s %s", c.text, j, err, c.network, c.address)
		}
	}
	j, err := parseSockets(`{"a": [{"SockServiceName": "1"}, {"SockPathName": "/s", "SockPathMode": 438, "SockPathOwner": 1, "SockPathGroup": 2}], "b": {"SockServiceName": "2", "Bonjour": ["x"]}}`)
	if err != nil || len(j.Sockets) != 3 || *j.Sockets[1].Mode != 0o666 || j.Sockets[1].Owner != 1 || j.Sockets[1].Group != 2 || len(j.Warnings) != 1 {
		t.Errorf("%+v, %v", j, err)
	}
}

func TestBadSockets(t *testing.T) {
	for text, want := range map[string]string{
		`{"a": 1}`:                          "must be a dictionary or an array",
		`{"a": {}}`:                         `needs "SockPathName" or "SockServiceName"`,
		`{"a:b": {"SockServiceName": "1"}}`: "no colon",
		`{"a": {"SockServiceName": "1", "SockPathName": "/s"}}`:                        "either a path or a service name",
		`{"a": {"SockServiceName": "no such service"}}`:                                "no port and no service",
		`{"a": {"SockServiceName": "99999"}}`:                                          "no port and no service",
		`{"a": {"SockServiceName": "1", "SockNodeName": "example.com"}}`:               "asks no name server",
		`{"a": {"SockServiceName": "1", "SockFamily": "IPX"}}`:                         "IPv4, IPv6, IPv4v6 or Unix",
		`{"a": {"SockServiceName": "1", "SockType": "raw"}}`:                           "stream or dgram",
		`{"a": {"SockServiceName": "1", "SockProtocol": "UDP", "SockType": "stream"}}`: "UDP for dgram",
		`{"a": {"SockServiceName": "1", "SockPassive": false}}`:                        "does not connect",
		`{"a": {"SockPathName": "/s", "SockPathMode": 512}}`:                           "in decimal",
		`{"a": {"SockPathName": "/s", "SockPathOwner": -1}}`:                           "is an id",
		`{"a": {"SockPathName": 1}}`:                                                   "must be a string",
		`{"a": {"SockFamily": "Unix"}}`:                                                `needs "SockPathName"`,
		`{"a": {"SockPath": "/s"}}`:                                                    "unknown key",
	} {
		if _, err := parseSockets(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	many := strings.Repeat(`{"SockServiceName": "1"},`, MaxSockets)
	if _, err := parseSockets(`{"a": [` + many + `{"SockServiceName": "1"}]}`); err == nil || !strings.Contains(err.Error(), "more than 64 sockets") {
		t.Errorf("one more than the limit: %v", err)
	}
	if _, err := parseSockets(`{"a": [` + strings.TrimSuffix(many, ",") + `]}`); err != nil {
		t.Errorf("as many as the limit: %v", err)
	}
}

func TestInetdCompatibility(t *testing.T) {
	for _, c := range []struct{ inetd, sockets, want string }{
		{`{"Wait": true}`, `{"a": {"SockServiceName": "1"}}`, ""},
		{`{"Wait": false}`, `{"a": {"SockServiceName": "1"}}`, ""},
		{`{}`, `{}`, "exactly one socket"},
		{`{"Wait": false}`, `{"a": {"SockServiceName": "1", "SockType": "dgram"}}`, "must be true"},
		{`{"Hurry": true}`, `{"a": {"SockServiceName": "1"}}`, "unknown key"},
	} {
		_, err := parseSockets(fmt.Sprintf(`%s, "inetdCompatibility": %s`, c.sockets, c.inetd))
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s with %s: %v, want %q", c.inetd, c.sockets, err, c.want)
		}
	}
}
