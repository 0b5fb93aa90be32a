package registry

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// MaxSockets is how many sockets one job may declare.
const MaxSockets = 64

// Socket is one of a job's Sockets: the registry listens there, and starts the job
// when somebody comes (launch_activate_socket(3)). It is read-only by convention.
type Socket struct {
	Name    string // several sockets may have one
	Network string // as package net names it: unix, unixgram, unixpacket, tcp, tcp4, tcp6, udp, udp4, udp6
	Address string // host:port, the host "" for every address; or the path of a unix socket, absolute
	Mode    *int   // of the path; nil for what the registry's umask makes of 0777

	Owner, Group int // of the path; -1 for the registry's own

	Variable string // SecureSocketWithKey: the environment variable that tells the job the path, which the registry chooses; or ""
}

// Inetd is how a job with inetdCompatibility gets its socket.
type Inetd struct {
	Wait bool // the listening socket as its standard streams; else each client's, in a process of its own
}

// sockets reads the value of Sockets.
func (c *checker) sockets(m member) {
	for _, s := range m.value.members {
		path := join(m.key, s.key)
		entries := []*node{s.value}
		if s.value.kind == arrayKind {
			entries = s.value.items
		}
		if s.key == "" || len(s.key) > MaxLabel || !plain(s.key) {
			c.add(Error, s.pos, path, "a socket's name has 1 to %d characters of ASCII, no colon and no control characters", MaxLabel)
		}
		for _, e := range entries {
			if e.kind != dictKind {
				if e.kind != nullKind {
					c.add(Error, e.pos, path, "socket %s must be a dictionary or an array of dictionaries, not %s", shorten(s.key), e.kind.withArticle())
				}
				continue
			}
			if len(c.job.Sockets) == MaxSockets {
				c.add(Error, e.pos, path, "more than %d sockets: no job needs that", MaxSockets)
				return
			}
			c.socket(path, s.key, e)
		}
	}
}

// plain says whether a name can stand in LISTEN_FDNAMES.
func plain(name string) bool {
	for _, r := range name {
		if r <= ' ' || r > '~' || r == ':' {
			return false
		}
	}
	return true
}

// socketKeys are those of one socket, with the kinds that launchd takes.
var socketKeys = map[string][]kind{
	"SockType": {stringKind}, "SockPassive": {boolKind}, "SockNodeName": {stringKind}, "SockServiceName": {stringKind, integerKind},
	"SockFamily": {stringKind}, "SockProtocol": {stringKind}, "SockPathName": {stringKind}, "SecureSocketWithKey": {stringKind},
	"SockPathMode": {integerKind}, "SockPathOwner": {integerKind}, "SockPathGroup": {integerKind},
	"Bonjour": {boolKind, stringKind, arrayKind}, "MulticastGroup": {stringKind},
}

func (c *checker) socket(path, name string, n *node) {
	given := map[string]*node{}
	before := c.count[Error]
	for _, o := range n.members {
		at := join(path, o.key)
		kinds, known := socketKeys[o.key]
		switch {
		case !known:
			c.add(Error, o.pos, at, "unknown key %s of a socket", shorten(o.key))
		case o.value.kind == nullKind:
		case o.value.kind != kinds[0] && (len(kinds) == 1 || o.value.kind != kinds[1] && o.value.kind != kinds[len(kinds)-1]):
			c.add(Error, o.value.pos, at, "%q must be %s, not %s", o.key, kinds[0].withArticle(), o.value.kind.withArticle())
		case o.key == "Bonjour" && o.value.text == "false":
		case o.key == "Bonjour" || o.key == "MulticastGroup":
			c.add(Warning, o.pos, at, "key %q is not acted on: the registry announces nothing to the network", o.key)
		default:
			given[o.key] = o.value
		}
	}
	if c.count[Error] > before {
		return
	}
	s := Socket{Name: name, Owner: -1, Group: -1}
	if err := s.fill(given); err != nil {
		c.add(Error, n.pos, path, "%v", err)
		return
	}
	c.job.Sockets = append(c.job.Sockets, s)
}

// fill reads the keys of one socket, all of the right type.
func (s *Socket) fill(given map[string]*node) error {
	text := func(key string) string {
		if n := given[key]; n != nil {
			return n.text
		}
		return ""
	}
	if text("SockPassive") == "false" {
		return fmt.Errorf("\"SockPassive\" is false: the registry listens, it does not connect; let the program do that")
	}
	kind, protocol, family := text("SockType"), text("SockProtocol"), text("SockFamily")
	if kind == "" {
		kind = "stream"
		if protocol == "UDP" {
			kind = "dgram"
		}
	}
	if protocol != "" && (kind == "stream") != (protocol == "TCP") || protocol != "" && protocol != "TCP" && protocol != "UDP" {
		return fmt.Errorf("\"SockProtocol\" is TCP for the type stream and UDP for dgram, not %s for %s", shorten(protocol), shorten(kind))
	}
	s.Variable = text("SecureSocketWithKey")
	s.Address = text("SockPathName")
	if s.Address != "" || s.Variable != "" || family == "Unix" {
		return s.fillUnix(kind, given)
	}
	return s.fillInternet(kind, family, text("SockNodeName"), text("SockServiceName"))
}

func (s *Socket) fillUnix(kind string, given map[string]*node) error {
	networks := map[string]string{"stream": "unix", "dgram": "unixgram", "seqpacket": "unixpacket"}
	if s.Network = networks[kind]; s.Network == "" {
		return fmt.Errorf("\"SockType\" is stream, dgram or seqpacket, not %s", shorten(kind))
	}
	switch {
	case given["SockServiceName"] != nil || given["SockNodeName"] != nil:
		return fmt.Errorf("a socket has either a path or a service name, not both")
	case s.Address == "" && s.Variable == "":
		return fmt.Errorf("a unix socket needs \"SockPathName\"")
	case s.Address != "" && s.Variable != "":
		return fmt.Errorf("\"SecureSocketWithKey\" has the registry choose the path: leave \"SockPathName\" out")
	}
	for key, to := range map[string]*int{"SockPathOwner": &s.Owner, "SockPathGroup": &s.Group} {
		if n := given[key]; n != nil {
			id, ok := numericID(n.text)
			if !ok {
				return fmt.Errorf("%q is an id, not %s", key, shorten(n.text))
			}
			*to = id
		}
	}
	if n := given["SockPathMode"]; n != nil {
		mode, err := strconv.ParseUint(n.text, 0, 16)
		if err != nil || mode > 0o777 {
			return fmt.Errorf("\"SockPathMode\" goes from 0 to 511 (0777), in decimal, not %s", shorten(n.text))
		}
		m := int(mode)
		s.Mode = &m
	}
	return nil
}

func (s *Socket) fillInternet(kind, family, node, service string) error {
	networks := map[string]string{"stream": "tcp", "dgram": "udp"}
	families := map[string]string{"": "", "IPv4v6": "", "IPv4": "4", "IPv6": "6"}
	suffix, known := families[family]
	switch {
	case networks[kind] == "":
		return fmt.Errorf("\"SockType\" is stream or dgram for a socket without a path, not %s", shorten(kind))
	case !known:
		return fmt.Errorf("\"SockFamily\" is IPv4, IPv6, IPv4v6 or Unix, not %s", shorten(family))
	case service == "":
		return fmt.Errorf("a socket needs \"SockPathName\" or \"SockServiceName\" (a port or its name)")
	case node != "" && node != "localhost" && net.ParseIP(node) == nil:
		return fmt.Errorf("\"SockNodeName\" is an address or localhost, not %s: the registry asks no name server", shorten(node))
	}
	if s.Network = networks[kind] + suffix; node == "localhost" {
		if node = "127.0.0.1"; suffix == "6" {
			node = "::1"
		}
	}
	port, err := net.LookupPort(networks[kind], service)
	if err != nil {
		return fmt.Errorf("\"SockServiceName\" %s is no port and no service that this system knows", shorten(service))
	}
	s.Address = net.JoinHostPort(node, strconv.Itoa(port))
	return nil
}

// inetd reads inetdCompatibility.
func (c *checker) inetd(m member) {
	c.job.Inetd = &Inetd{}
	for _, o := range m.value.members {
		path := join(m.key, o.key)
		switch {
		case o.key != "Wait" && o.key != "Instances":
			c.add(Error, o.pos, path, "unknown key %s of %q: it knows Wait", shorten(o.key), m.key)
		case o.key == "Instances":
			c.add(Warning, o.pos, path, "key %q is not acted on: at most %d clients are served at a time", o.key, MaxInstances)
		case c.is(path, o, boolKind):
			c.job.Inetd.Wait = o.value.text == "true"
		}
	}
}

// MaxInstances is how many processes a job without Wait has at a time.
const MaxInstances = 64

// inetdSocket finds what does not go together with inetdCompatibility.
func (c *checker) inetdSocket(n *node) {
	switch {
	case len(c.job.Sockets) != 1:
		c.add(Error, n.pos, "inetdCompatibility", "\"inetdCompatibility\" needs exactly one socket, and there are %d", len(c.job.Sockets))
	case !c.job.Inetd.Wait && !c.job.Sockets[0].Stream():
		c.add(Error, n.pos, "inetdCompatibility", "\"Wait\" must be true for a socket without connections")
	}
}

// Stream says whether clients connect, so that there is something to accept.
func (s *Socket) Stream() bool {
	return s.Network != "unixgram" && !strings.HasPrefix(s.Network, "udp")
}

// Listen makes the socket, for Variable in folder; path is where it is then, "" for
// none. The caller owns the file. What is at the path already is replaced if it is a
// socket.
func (s *Socket) Listen(folder string) (f *os.File, path string, err error) {
	address := s.Address
	if s.Variable != "" {
		dir, err := os.MkdirTemp(folder, "xpc-")
		if err != nil {
			return nil, "", err
		}
		address = filepath.Join(dir, "s")
	}
	if strings.HasPrefix(s.Network, "unix") {
		path = address
		if info, err := os.Lstat(path); err == nil {
			if info.Mode().Type() != os.ModeSocket {
				return nil, "", fmt.Errorf("socket %q: there is something at %s that is no socket: remove it", s.Name, path)
			}
			os.Remove(path)
		}
	}
	if f, err = s.listen(address); err != nil {
		return nil, "", fmt.Errorf("socket %q: %w", s.Name, err)
	}
	if path != "" {
		if err = s.permit(path); err != nil {
			f.Close()
			os.Remove(path)
			return nil, "", fmt.Errorf("socket %q: %w", s.Name, err)
		}
	}
	return f, path, nil
}

func (s *Socket) listen(address string) (*os.File, error) {
	type filer interface {
		File() (*os.File, error)
		Close() error
	}
	var made filer
	switch s.Network {
	case "unixgram":
		l, err := net.ListenUnixgram(s.Network, &net.UnixAddr{Name: address, Net: s.Network})
		if err != nil {
			return nil, err
		}
		made = l
	case "udp", "udp4", "udp6":
		l, err := net.ListenPacket(s.Network, address)
		if err != nil {
			return nil, err
		}
		made = l.(*net.UDPConn)
	default:
		l, err := net.Listen(s.Network, address)
		if err != nil {
			return nil, err
		}
		if u, ok := l.(*net.UnixListener); ok {
			u.SetUnlinkOnClose(false)
		}
		made = l.(filer)
	}
	defer made.Close()
	return made.File()
}

func (s *Socket) permit(path string) error {
	if s.Mode != nil {
		if err := os.Chmod(path, os.FileMode(*s.Mode)); err != nil {
			return err
		}
	}
	if s.Owner != -1 || s.Group != -1 {
		return os.Chown(path, s.Owner, s.Group)
	}
	return nil
}
