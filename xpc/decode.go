package xpc

import (
	"errors"
	"fmt"

	"github.com/openxpc/openxpc/transport"
	"github.com/openxpc/openxpc/xpc/internal/memory"
	"github.com/openxpc/openxpc/xpc/wire"
)

// decodeMessage fills the empty dictionary d from bytes that nobody vouches for.
// It takes over body, which must never be written to again because strings and
// data stay in it, and files, all of which are closed on error. fds are the
// boxes that it made. The error is a *wire.Error, and d is empty after it. lim
// has its defaults filled in.
func decodeMessage(d *Dictionary, body []byte, files []*transport.Descriptor, lim *Limits) (fds []*FD, err error) {
	fds, _, err = decodeCounted(d, body, files, lim)
	return fds, err
}

// decodeCounted is decodeMessage and says what the message's values, descriptors
// and shared bytes count for.
func decodeCounted(d *Dictionary, body []byte, files []*transport.Descriptor, lim *Limits) (fds []*FD, cost int, err error) {
	dec := decoder{
		c:     wire.NewCursor(body, len(files), wire.Limits{Depth: lim.MaxDepth, Elements: lim.MaxElements}),
		files: files,
		lim:   lim,
		size:  len(body),
	}
	if err := dec.message(d, lim); err != nil {
		for _, f := range files {
			f.Close()
		}
		d.entries, d.slots, d.kin = nil, nil, kin{}
		return nil, 0, err
	}
	// Only now is it certain who closes what.
	for _, r := range dec.regions {
		countRegion(r)
	}
	closeFiles(dec.spent)
	return dec.fds, dec.values*valueCost + len(files)*descriptorCost + min(dec.shared, lim.MaxReceivedBytes), nil
}

type decoder struct {
	c       wire.Cursor
	files   []*transport.Descriptor
	fds     []*FD
	regions []*region               // new ones
	spent   []*transport.Descriptor // those of files that are not needed
	lim     *Limits
	size    int // of the body

	values int
	shared int // bytes
}

func (dec *decoder) message(d *Dictionary, lim *Limits) error {
	if dec.size > lim.MaxMessageSize {
		return &wire.Error{Problem: fmt.Sprintf("%d bytes, the limit MaxMessageSize is %d", dec.size, lim.MaxMessageSize)}
	}
	if n := len(dec.files); n > lim.MaxDescriptors {
		return &wire.Error{Problem: fmt.Sprintf("%d descriptors, the limit MaxDescriptors is %d", n, lim.MaxDescriptors)}
	}
	root, err := dec.c.Next()
	if err != nil {
		return err
	}
	if root.Kind != wire.KindMap {
		return &wire.Error{Problem: "a message must be a dictionary, this is a value of type " + root.Kind.String()}
	}
	if err := dec.dictionary(d, int(root.Num)); err != nil {
		return err
	}
	return dec.c.Done()
}

func (dec *decoder) dictionary(d *Dictionary, n int) error {
	dec.values += n
	if n > cap(d.entries) {
		d.entries = make([]entry, 0, n)
	}
	d.reindex(n)
	for i := range n {
		offset := dec.c.Offset()
		key, err := dec.c.Key()
		if err != nil {
			return err
		}
		if d.find(textOf(key)) >= 0 {
			return &wire.Error{Offset: offset, Problem: fmt.Sprintf("key %q occurs a second time", key)}
		}
		d.entries = d.entries[:i+1]
		e := &d.entries[i]
		if err := dec.value(&e.value, &d.kin); err != nil {
			return err
		}
		e.set(textOf(key), e.value)
		d.indexLast()
	}
	dec.c.Leave()
	return nil
}

func (dec *decoder) array(a *Array, n int) error {
	dec.values += n
	a.values = make([]value, n)
	for i := range a.values {
		if err := dec.value(&a.values[i], &a.kin); err != nil {
			return err
		}
	}
	dec.c.Leave()
	return nil
}

// value reads one value into v, which lies in the container that k belongs to.
func (dec *decoder) value(v *value, k *kin) error {
	t, err := dec.c.Next()
	if err != nil {
		return err
	}
	switch t.Kind {
	case wire.KindNull:
		v.kind = TypeNull
	case wire.KindBool:
		v.kind, v.num = TypeBool, t.Num
	case wire.KindInt64:
		v.kind, v.num = TypeInt64, t.Num
	case wire.KindUint64:
		v.kind, v.num = TypeUint64, t.Num
	case wire.KindDouble:
		v.kind, v.num = TypeDouble, t.Num
	case wire.KindDate:
		v.kind, v.num = TypeDate, t.Num
	case wire.KindString:
		*v = textValue(TypeString, textOf(t.Bytes))
	case wire.KindData:
		lent := 2*len(t.Bytes) < dec.size
		if len(t.Bytes) >= sharedDataFrom { // it may be sent on, and then is shared
			*v = objectValue(&Data{bytes: textOf(t.Bytes), lent: lent})
		} else {
			*v = textValue(TypeData, textOf(t.Bytes))
			v.lent = lent
		}
	case wire.KindUUID:
		*v = textValue(TypeUUID, textOf(t.Bytes))
	default:
		return dec.reference(v, k, t)
	}
	return nil
}

// reference reads what is an object of its own.
func (dec *decoder) reference(v *value, k *kin, t wire.Token) error {
	switch t.Kind {
	case wire.KindArray:
		a := &Array{}
		*v = objectValue(a)
		k.adopt(v)
		return dec.array(a, int(t.Num))
	case wire.KindMap:
		d := &Dictionary{}
		*v = objectValue(d)
		k.adopt(v)
		return dec.dictionary(d, int(t.Num))
	case wire.KindFD:
		f := &FD{d: dec.files[t.Num]}
		dec.fds = append(dec.fds, f)
		*v = objectValue(f)
	case wire.KindSharedData:
		return dec.sharedData(v, t)
	case wire.KindSharedMemory:
		return dec.sharedMemory(v, t)
	case wire.KindEndpoint:
		*v = objectValue(dec.endpoint(t))
	case wire.KindError:
		*v = objectValue(errorFromCode(t.Num))
	}
	return nil
}

// sharedData maps what nobody can change, once, and copies everything else.
func (dec *decoder) sharedData(v *value, t wire.Token) error {
	id, mappable, err := dec.check(t, memory.ToRead)
	if err != nil {
		return err
	}
	file, size := dec.files[t.Num], int(t.Size())
	if mappable {
		r, known := receivedRegion(file, size, id)
		if known {
			dec.spent = append(dec.spent, file)
		} else {
			dec.regions = append(dec.regions, r)
		}
		*v = objectValue(&Data{shared: r})
		return nil
	}
	b, err := memory.Read(file.FD(), size)
	if err != nil {
		return dec.badMemory(t, err)
	}
	dec.spent = append(dec.spent, file)
	*v = textValue(TypeData, textOf(b))
	return nil
}

func (dec *decoder) sharedMemory(v *value, t wire.Token) error {
	_, mappable, err := dec.check(t, memory.ToShare)
	if err != nil {
		return err
	}
	if !mappable {
		return dec.badMemory(t, errors.New("its sender could shrink it, as it is not sealed"))
	}
	s := &SharedMemory{FD{d: dec.files[t.Num]}, int(t.Size())}
	dec.fds = append(dec.fds, &s.fd)
	*v = objectValue(s)
	return nil
}

// check says which file t names, and whether its memory may be mapped.
func (dec *decoder) check(t wire.Token, u memory.Use) (id memory.ID, mappable bool, err error) {
	if t.Size() > uint64(dec.lim.MaxSharedSize-dec.shared) {
		return id, false, dec.badMemory(t, fmt.Errorf("with it the message shares more than the limit MaxSharedSize of %d", dec.lim.MaxSharedSize))
	}
	dec.shared += int(t.Size())
	if id, mappable, err = memory.Check(dec.files[t.Num].FD(), int(t.Size()), u); err != nil {
		return id, false, dec.badMemory(t, err)
	}
	return id, mappable, nil
}

func (dec *decoder) badMemory(t wire.Token, err error) error {
	return &wire.Error{Offset: dec.c.Offset(), Problem: fmt.Sprintf("%s of %d bytes, descriptor %d: %v", t.Kind, t.Size(), t.Num, err)}
}

func (dec *decoder) endpoint(t wire.Token) *Endpoint {
	if t.Bytes != nil {
		return endpointFromWire(nil, string(t.Bytes))
	}
	return endpointFromWire(dec.files[t.Num], "")
}

func endpointFromWire(d *transport.Descriptor, path string) *Endpoint {
	return &Endpoint{d: d, path: path}
}
