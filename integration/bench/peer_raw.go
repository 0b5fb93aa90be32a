package main

import (
	"io"
	"net"
	"sync"

	"golang.org/x/sys/unix"
)

// rawC is the limit: blocking calls on a Unix socket, in C.
var rawC = &peer{
	key: "c", name: "raw socket, C", note: "no framing, no names, no credentials: what the kernel asks for",
	program: func(s *site) (string, error) { return s.compile("raw", "-lpthread") },
}

// rawGo is the same in Go, past the runtime's poller.
var rawGo = &peer{
	key: "goraw", name: "raw socket, Go, blocking calls", note: "the limit where there is no C compiler",
	serve: serveRaw, dial: dialRaw,
}

// netGo is what a Go program writes first.
var netGo = &peer{
	key: "net", name: "raw socket, Go, package net", note: "no framing",
	serve: serveNet, dial: dialNet,
}

// rawHello begins a raw connection: the size of its messages.
const rawHello = 4

func serveRaw(addr string, ready func()) error {
	l, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err == nil {
		err = unix.Bind(l, &unix.SockaddrUnix{Name: addr})
	}
	if err == nil {
		err = unix.Listen(l, 128)
	}
	if err != nil {
		return err
	}
	ready()
	for {
		fd, _, err := unix.Accept(l)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		// Ends with the connection, or the process.
		go func() {
			defer unix.Close(fd)
			echoRaw(blocking(fd))
		}()
	}
}

// blocking is a socket used by blocking system calls.
type blocking int

func (fd blocking) Read(p []byte) (int, error) {
	for {
		n, err := unix.Read(int(fd), p)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return 0, err
		case n == 0:
			return 0, io.EOF
		default:
			return n, nil
		}
	}
}

func (fd blocking) Write(p []byte) (int, error) {
	for sent := 0; sent < len(p); {
		n, err := unix.Write(int(fd), p[sent:])
		if err != nil && err != unix.EINTR {
			return sent, err
		}
		sent += max(n, 0)
	}
	return len(p), nil
}

func (fd blocking) Close() error { return unix.Close(int(fd)) }

// echoRaw gives messages back until the other side closes.
func echoRaw(c io.ReadWriter) {
	var hello [rawHello]byte
	if _, err := io.ReadFull(c, hello[:]); err != nil {
		return
	}
	b := make([]byte, int(hello[0])|int(hello[1])<<8|int(hello[2])<<16|int(hello[3])<<24)
	for {
		if _, err := io.ReadFull(c, b); err != nil {
			return
		}
		if _, err := c.Write(b); err != nil {
			return
		}
	}
}

// rawCaller makes a new connection when the size changes, since nothing on the
// wire tells sizes.
type rawCaller struct {
	open func() (io.ReadWriteCloser, error)

	mu   sync.Mutex // one call at a time: replies carry no id
	conn io.ReadWriteCloser
	size int
	in   []byte
}

func dialRaw(addr string) (caller, error) {
	return &rawCaller{open: func() (io.ReadWriteCloser, error) {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
		if err == nil {
			err = unix.Connect(fd, &unix.SockaddrUnix{Name: addr})
		}
		return blocking(fd), err
	}}, nil
}

func (r *rawCaller) Call(p []byte) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.fit(len(p)); err != nil {
		return nil, err
	}
	if _, err := r.conn.Write(p); err != nil {
		return nil, err
	}
	_, err := io.ReadFull(r.conn, r.in)
	return r.in, err
}

// fit makes a connection for messages of n bytes.
func (r *rawCaller) fit(n int) error {
	if r.size == n {
		return nil
	}
	if r.conn != nil {
		r.conn.Close()
	}
	conn, err := r.open()
	if err != nil {
		return err
	}
	r.conn, r.size, r.in = conn, n, make([]byte, n)
	_, err = conn.Write([]byte{byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24)})
	return err
}

func (r *rawCaller) Close() error {
	if r.conn == nil {
		return nil
	}
	return r.conn.Close()
}

func serveNet(addr string, ready func()) error {
	l, err := net.Listen("unix", addr)
	if err != nil {
		return err
	}
	ready()
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		// Ends with the connection, or the process.
		go func() {
			defer c.Close()
			echoRaw(c)
		}()
	}
}

func dialNet(addr string) (caller, error) {
	return &rawCaller{open: func() (io.ReadWriteCloser, error) { return net.Dial("unix", addr) }}, nil
}
