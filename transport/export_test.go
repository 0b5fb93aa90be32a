package transport

import "io"

// RawPipe is a Pipe whose far end is bytes, for the conformance tests.
func RawPipe(o Options) (*Conn, *RawEnd) {
	a, b := Pipe(o, Options{})
	return a, &RawEnd{b.m.(*pipeEnd)}
}

type RawEnd struct{ end *pipeEnd }

func (r *RawEnd) Write(b []byte, files ...*Descriptor) error {
	for len(b) > 0 {
		n, err := r.end.send(parts{b}, files, false, false)
		if err == errAgain {
			room := make(chan struct{})
			r.end.out.notify(func(s *stream) { s.writable = func() { close(room) } })
			<-room
			continue
		}
		if err != nil {
			return err
		}
		b, files = b[n:], nil
	}
	return nil
}

func (r *RawEnd) Read(b []byte) (int, error) {
	var in incoming
	for {
		n, err := r.end.recv(b, &in, true)
		closeAll(in.files)
		in.files = nil
		if err != errAgain {
			return n, err
		}
	}
}

func (r *RawEnd) Close() {
	r.end.shutdown()
	r.end.close()
}

var _ io.Reader = (*RawEnd)(nil)
