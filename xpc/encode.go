package xpc

import (
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/openxpc/openxpc/transport"
	"github.com/openxpc/openxpc/xpc/internal/memory"
	"github.com/openxpc/openxpc/xpc/wire"
)

var (
	errConnectionInMessage = errors.New("a connection cannot be sent: put its endpoint there with SetConnection")
	errNoEndpoint          = errors.New("the endpoint leads nowhere, its listener is gone")
)

// encodeMessage appends d's bytes to b and returns them with the descriptors
// that travel along, each with an ownership more for the caller to close. On
// error b comes back as it was and the caller owns nothing. The message is a
// snapshot: d may change afterwards (R141). lim has its defaults filled in.
func encodeMessage(b []byte, d *Dictionary, lim *Limits) ([]byte, []*transport.Descriptor, error) {
	e := encoder{b: b, lim: lim, inlaid: true}
	if err := e.message(d); err != nil {
		return b, nil, err
	}
	return e.b, e.files, nil
}

// encodeFrame is encodeMessage to an empty b for a frame: a long piece of data in the message
// lies beside its Body, and what is shared counts while the frame is queued.
func encodeFrame(f *transport.Frame, b []byte, d *Dictionary, lim *Limits) error {
	e := encoder{b: b, lim: lim}
	if err := e.message(d); err != nil {
		return err
	}
	f.Body, f.Files, f.Beside = e.b, e.files, min(e.shared, lim.MaxQueuedBytes/2)
	f.Inlay, f.InlayAt = e.inlay, e.inlayAt
	return nil
}

// inlayFrom is from how many bytes on data is written from where it lies: shorter data is
// in the same piece with what is sent before and after.
const inlayFrom = 16 << 10

const longestDataHeader = 5

// message closes what it attached if it fails.
func (e *encoder) message(d *Dictionary) error {
	before := *e
	err := e.all(d, e.lim.SharedDataFrom)
	if over, ok := err.(*LimitError); ok && over.Limit == "MaxDescriptors" && e.data > 0 {
		*e = before
		err = e.all(d, math.MaxInt) // data can do without a descriptor
	}
	return err
}

func (e *encoder) all(d *Dictionary, shareFrom int) error {
	e.start, e.elements, e.shareFrom = len(e.b), e.lim.MaxElements-1, shareFrom
	err := e.dictionary(d, e.lim.MaxDepth)
	if err == nil {
		err = e.room(0)
	}
	if err != nil {
		for _, f := range e.files {
			f.Close()
		}
	}
	return err
}

type encoder struct {
	b        []byte
	start    int // where the message begins in b
	files    []*transport.Descriptor
	elements int // values still allowed
	lim      *Limits
	inlay    []byte // data that is not in b, but belongs
	inlayAt  int    // there
	inlaid   bool   // there is one, or is not to be one

	shareFrom int // from how many bytes on data is shared
	shared    int // bytes of shared data and shared memory
	data      int // how many of the descriptors are data
}

// dictionary encodes d; depth is how many levels are left, its own included.
func (e *encoder) dictionary(d *Dictionary, depth int) error {
	if err := e.enter(d.Count(), depth); err != nil {
		return err
	}
	e.b = wire.AppendMapHeader(e.b, d.Count())
	for i := range d.Count() {
		entry := &d.entries[i]
		if err := e.room(len(entry.key())); err != nil {
			return err
		}
		e.b = wire.AppendString(e.b, entry.key())
		if err := e.value(&entry.value, depth-1); err != nil {
			return at(strconv.Quote(entry.key()), err)
		}
	}
	return nil
}

func (e *encoder) array(a *Array, depth int) error {
	if err := e.enter(len(a.values), depth); err != nil {
		return err
	}
	e.b = wire.AppendArrayHeader(e.b, len(a.values))
	for i := range a.values {
		if err := e.value(&a.values[i], depth-1); err != nil {
			return at("["+strconv.Itoa(i)+"]", err)
		}
	}
	return nil
}

// enter charges a container of n values to the limits.
func (e *encoder) enter(n, depth int) error {
	if depth <= 0 {
		return &LimitError{"MaxDepth", e.lim.MaxDepth}
	}
	if n > e.elements {
		return &LimitError{"MaxElements", e.lim.MaxElements}
	}
	e.elements -= n
	return nil
}

// room says whether n bytes more are within the limit.
func (e *encoder) room(n int) error {
	if n > e.lim.MaxMessageSize-(len(e.b)-e.start)-len(e.inlay) {
		return &LimitError{"MaxMessageSize", e.lim.MaxMessageSize}
	}
	return nil
}

func (e *encoder) value(v *value, depth int) error {
	if v.kind == TypeData {
		return e.dataOf(v)
	}
	if err := e.room(len(v.text())); err != nil {
		return err
	}
	switch v.kind {
	case TypeNull:
		e.b = wire.AppendNull(e.b)
	case TypeBool:
		e.b = wire.AppendBool(e.b, v.num != 0)
	case TypeInt64:
		e.b = wire.AppendInt64(e.b, int64(v.num))
	case TypeUint64:
		e.b = wire.AppendUint64(e.b, v.num)
	case TypeDouble:
		e.b = wire.AppendDouble(e.b, v.double())
	case TypeDate:
		e.b = wire.AppendDate(e.b, int64(v.num))
	case TypeString:
		e.b = wire.AppendString(e.b, v.text())
	case TypeUUID:
		e.b = wire.AppendUUID(e.b, v.uuid())
	case TypeError:
		e.b = wire.AppendError(e.b, (*Error)(v.ptr).code)
	case TypeArray:
		return e.array(v.array(), depth)
	case TypeDictionary:
		return e.dictionary(v.dictionary(), depth)
	default:
		return e.reference(v)
	}
	return nil
}

// dataOf encodes data: short data into the body, long data as memory of its own if
// that can be had.
func (e *encoder) dataOf(v *value) error {
	d := v.dataObject()
	n := len(v.text())
	if d != nil {
		n = d.Len()
	}
	if n >= e.shareFrom && n <= e.lim.MaxSharedSize-e.shared {
		if file := e.memoryOf(v, d); file != nil {
			index, err := e.attach(file, true)
			e.shared += n
			e.data++
			e.b = wire.AppendSharedData(e.b, index, uint64(n))
			return err
		}
	}
	if err := e.room(n); err != nil {
		if n >= e.shareFrom && e.lim.MaxSharedSize > 0 {
			return &LimitError{"MaxSharedSize", e.lim.MaxSharedSize}
		}
		return err
	}
	plain, lent := v.plainData(), v.lent || d != nil && d.lent
	if e.inlaid || lent || len(plain) < inlayFrom || len(e.b)-e.start > transport.MaxInlayAt-longestDataHeader {
		e.b = wire.AppendData(e.b, plain)
		return nil
	}
	e.b = wire.AppendDataHeader(e.b, len(plain))
	e.inlay, e.inlayAt, e.inlaid = bytesOf(plain), len(e.b)-e.start, true
	return nil
}

// memoryOf is the memory that data lies in, or that it was copied to, with an
// ownership for the message; nil if there is none.
func (e *encoder) memoryOf(v *value, d *Data) *transport.Descriptor {
	if d != nil {
		if r := d.region(); r != nil {
			r.d.Retain()
			return r.d
		}
	}
	fd, err := memory.CreateFrom(bytesOf(v.plainData()))
	if err != nil {
		return nil
	}
	return transport.NewDescriptor(fd)
}

// reference encodes what travels as a descriptor.
func (e *encoder) reference(v *value) error {
	switch o := v.reference().(type) {
	case *FD:
		index, err := e.attach(o.d, o.retain())
		e.b = wire.AppendFD(e.b, index)
		return err
	case *SharedMemory:
		if o.size > e.lim.MaxSharedSize-e.shared {
			return &LimitError{"MaxSharedSize", e.lim.MaxSharedSize}
		}
		e.shared += o.size
		index, err := e.attach(o.fd.d, o.fd.retain())
		e.b = wire.AppendSharedMemory(e.b, index, uint64(o.size))
		return err
	case *Endpoint:
		return e.endpoint(o)
	}
	return errConnectionInMessage
}

func (e *encoder) endpoint(o *Endpoint) error {
	if d := endpointDescriptor(o); d != nil {
		index, err := e.attach(d, d.Retain())
		e.b = wire.AppendEndpoint(e.b, index)
		return err
	}
	if o.path == "" {
		return errNoEndpoint
	}
	if len(o.path) < 3 || len(o.path) > wire.MaxPath {
		return fmt.Errorf("the endpoint's path has %d bytes, it must have 3 to %d", len(o.path), wire.MaxPath)
	}
	e.b = wire.AppendEndpointPath(e.b, o.path)
	return nil
}

// attach takes over an ownership of d, if the caller got one.
func (e *encoder) attach(d *transport.Descriptor, retained bool) (int, error) {
	if !retained {
		return 0, transport.ErrDescriptorClosed
	}
	e.files = append(e.files, d)
	if len(e.files) > e.lim.MaxDescriptors {
		return 0, &LimitError{"MaxDescriptors", e.lim.MaxDescriptors}
	}
	return len(e.files) - 1, nil
}

func endpointDescriptor(e *Endpoint) *transport.Descriptor { return e.d }

// placeError says where in a message the value is that cannot be sent.
type placeError struct {
	place string // "key"[index]...
	err   error
}

func (e *placeError) Error() string {
	return fmt.Sprintf("xpc: the value at %s cannot be sent: %v", e.place, e.err)
}

func (e *placeError) Unwrap() error { return e.err }

// at adds a step to the way to err, the outermost last. A limit is about the
// message as a whole.
func at(place string, err error) error {
	switch err := err.(type) {
	case *LimitError:
		return err
	case *placeError:
		err.place = place + err.place
		return err
	}
	return &placeError{place, err}
}
