package handover

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"testing"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// values are the records that count, as text.
func values(t *testing.T, j *journal) string {
	t.Helper()
	all := map[string]json.RawMessage{}
	for key := range j.spans {
		v, err := j.value(key)
		must(t, err)
		all[key] = v
	}
	text, err := json.Marshal(all)
	must(t, err)
	return string(text)
}

func text(s string) json.RawMessage { return json.RawMessage(`"` + s + `"`) }

// reread reads what a process that was killed would leave: the first size bytes.
func reread(t *testing.T, f *os.File, size int64) *journal {
	t.Helper()
	b := make([]byte, size)
	_, err := f.ReadAt(b, 0)
	must(t, err)
	copied, err := MemoryFile()
	must(t, err)
	_, err = copied.Write(b)
	must(t, err)
	j, err := readJournal(copied)
	must(t, err)
	t.Cleanup(func() { copied.Close() })
	return j
}

// A process may be killed at any byte: all whole records count, and what is written
// next follows them.
func TestJournalIsCutAnywhere(t *testing.T) {
	j, err := newJournal(7)
	must(t, err)
	defer j.file.Close()
	states := map[int64]string{j.end: values(t, j)}
	for _, r := range []record{{"a", text("one")}, {"b", text("two")}, {"a", text("three")}, {"b", nil}} {
		must(t, j.write(r))
		states[j.end] = values(t, j)
	}
	want := ""
	for size := int64(headSize); size <= j.end; size++ {
		if s, ok := states[size]; ok {
			want = s
		}
		cut := reread(t, j.file, size)
		if got := values(t, cut); got != want || cut.generation != 7 {
			t.Fatalf("cut at %d: %s of generation %d, want %s of 7", size, got, cut.generation, want)
		}
		must(t, cut.write(record{"next", text("x")}))
		if got := values(t, reread(t, cut.file, cut.end)); !bytes.Contains([]byte(got), []byte(`"next":"x"`)) {
			t.Fatalf("cut at %d and continued: %s", size, got)
		}
	}
}

// What a peer could never write is still nothing to trust: a file of something else.
func TestForeignFileIsNoJournal(t *testing.T) {
	f, err := MemoryFile()
	must(t, err)
	defer f.Close()
	f.WriteString("something else altogether")
	if _, err := readJournal(f); err != errNoJournal {
		t.Errorf("got %v, want errNoJournal", err)
	}
}

// The file stays in proportion to what counts, however often it changes.
func TestJournalStaysSmall(t *testing.T) {
	s, held, err := Open(nil)
	must(t, err)
	defer s.Close()
	if len(held.Records)+len(held.FDs) != 0 {
		t.Fatalf("a first process finds %v", held)
	}
	for i := range 20000 {
		s.Put(fmt.Sprint("key", i%100), i)
	}
	must(t, s.Err())
	if s.journal.end > 4*worthwhile || s.journal.generation == 1 {
		t.Errorf("%d bytes in generation %d for 100 numbers", s.journal.end, s.journal.generation)
	}
	if v, err := s.journal.value("key99"); err != nil || string(v) != "19999" {
		t.Errorf("the last record of a key counts: %s, %v", v, err)
	}
	for i := range 100 {
		s.Delete(fmt.Sprint("key", i))
	}
	if len(s.journal.spans) != 0 {
		t.Errorf("%d records are left", len(s.journal.spans))
	}
}

// A record that is too long is refused, and takes nothing with it.
func TestLongRecord(t *testing.T) {
	s, _, err := Open(nil)
	must(t, err)
	defer s.Close()
	s.Put("a", 1)
	s.Put("b", string(make([]byte, maxRecord)))
	if s.Err() == nil || s.Err() != nil {
		t.Error("it is told once")
	}
	if v, err := s.journal.value("a"); err != nil || string(v) != "1" {
		t.Errorf("the other record: %s, %v", v, err)
	}
}

// The nil Store is what a registry without a successor has.
func TestNilStore(t *testing.T) {
	var s *Store
	s.Put("a", 1)
	s.Delete("a")
	s.Keep("a", 0)
	s.Drop("a")
	s.Close()
	if s.Err() != nil {
		t.Error("it has no errors")
	}
}
