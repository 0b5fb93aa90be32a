package handover

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
)

// magic is how a journal begins; its generation follows.
const magic = "openxpc1"

// Each record is its length, its checksum and its text. A process that is killed
// while it writes leaves half of one, and then the checksum does not fit.
const (
	headSize   = len(magic) + 8
	recordHead = 8
	maxRecord  = 16 << 20
	worthwhile = 64 << 10 // garbage that a new file is not made for
)

var errNoJournal = errors.New("handover: this is no journal")

// record is one change: V is absent when K is gone.
type record struct {
	K string          `json:"k"`
	V json.RawMessage `json:"v,omitempty"`
}

type span struct{ at, size int64 }

// journal is a file of records, the last of each key being the one that counts.
type journal struct {
	file       *os.File
	generation uint64
	spans      map[string]span // of what counts
	end, live  int64           // bytes of all, and of what counts
}

func newJournal(generation uint64) (*journal, error) {
	f, err := MemoryFile()
	if err != nil {
		return nil, fmt.Errorf("handover: %w", err)
	}
	head := binary.LittleEndian.AppendUint64([]byte(magic), generation)
	if _, err := f.WriteAt(head, 0); err != nil {
		f.Close()
		return nil, fmt.Errorf("handover: %w", err)
	}
	return &journal{file: f, generation: generation, spans: map[string]span{}, end: int64(headSize)}, nil
}

// readJournal takes f over, unless it fails. Records are read up to the first that
// is not whole, which is written over by the next one.
func readJournal(f *os.File) (*journal, error) {
	head := make([]byte, headSize)
	if _, err := f.ReadAt(head, 0); err != nil || string(head[:len(magic)]) != magic {
		return nil, errNoJournal
	}
	j := &journal{file: f, generation: binary.LittleEndian.Uint64(head[len(magic):]), spans: map[string]span{}, end: int64(headSize)}
	for {
		text, err := j.textAt(j.end)
		if err != nil {
			return j, nil
		}
		var r record
		if json.Unmarshal(text, &r) != nil {
			return j, nil
		}
		j.note(r, int64(recordHead+len(text)))
	}
}

func (j *journal) textAt(at int64) ([]byte, error) {
	head := make([]byte, recordHead)
	if _, err := j.file.ReadAt(head, at); err != nil {
		return nil, err
	}
	size := binary.LittleEndian.Uint32(head)
	if size == 0 || size > maxRecord {
		return nil, io.ErrUnexpectedEOF
	}
	text := make([]byte, size)
	if _, err := j.file.ReadAt(text, at+recordHead); err != nil {
		return nil, err
	}
	if crc32.ChecksumIEEE(text) != binary.LittleEndian.Uint32(head[4:]) {
		return nil, io.ErrUnexpectedEOF
	}
	return text, nil
}

// note counts a record that is at the end.
func (j *journal) note(r record, size int64) {
	if old, ok := j.spans[r.K]; ok {
		j.live -= old.size
		delete(j.spans, r.K)
	}
	if r.V != nil {
		j.spans[r.K] = span{j.end, size}
		j.live += size
	}
	j.end += size
}

func (j *journal) write(r record) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if len(text) > maxRecord {
		return fmt.Errorf("handover: the record %q has %d bytes, the limit is %d", r.K, len(text), maxRecord)
	}
	b := make([]byte, recordHead, recordHead+len(text))
	binary.LittleEndian.PutUint32(b, uint32(len(text)))
	binary.LittleEndian.PutUint32(b[4:], crc32.ChecksumIEEE(text))
	if _, err := j.file.WriteAt(append(b, text...), j.end); err != nil {
		return err
	}
	j.note(r, int64(len(b)+len(text)))
	return nil
}

// wasteful says that most of the file counts no more.
func (j *journal) wasteful() bool { return j.end > 2*j.live+worthwhile }

// again is the journal's next generation, with nothing in it but what counts.
func (j *journal) again() (*journal, error) {
	next, err := newJournal(j.generation + 1)
	if err != nil {
		return nil, err
	}
	for key := range j.spans {
		value, err := j.value(key)
		if err == nil {
			err = next.write(record{key, value})
		}
		if err != nil {
			next.file.Close()
			return nil, err
		}
	}
	return next, nil
}

func (j *journal) value(key string) (json.RawMessage, error) {
	text, err := j.textAt(j.spans[key].at)
	if err != nil {
		return nil, err
	}
	var r record
	err = json.Unmarshal(text, &r)
	return r.V, err
}
