package integration_test

import (
	"bytes"
	"io"
	"math"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/openxpc/openxpc/xpc"
)

func TestT28_MutationAfterSend(t *testing.T) {
	w := begin(t, theService)
	c := w.inactive(xpc.NewMachServiceConnection(serviceName, nil, 0))
	m := message("echo", "old")
	inner := xpc.NewDictionary()
	inner.SetString("key", "old")
	m.Set("inner", inner)
	m.SetData("data", []byte("old"))
	pending := c.request(m) // long before it leaves
	m.SetString("text", "new")
	inner.SetString("key", "new")
	m.SetData("data", []byte("new"))
	c.Activate()
	got := pending.get("the echo").(*xpc.Dictionary)
	if got.GetString("text") != "old" || got.GetDictionary("inner").GetString("key") != "old" || string(got.GetData("data")) != "old" {
		t.Errorf("the service saw %v: a message is a snapshot (R141)", got)
	}
}

func TestT29_DescriptorsAreShared(t *testing.T) {
	w := begin(t, theService)
	c := w.to(serviceName)
	path := filepath.Join(w.dir, "file")
	must(t, os.WriteFile(path, []byte("firstsecondthird"), 0o600))
	f, err := os.Open(path)
	must(t, err)
	m := message("read shared", "")
	m.SetFD("fd", int(f.Fd()))
	keep, err := unix.Dup(int(f.Fd()))
	must(t, err)
	mine := os.NewFile(uintptr(keep), "mine")
	defer mine.Close()
	f.Close() // the box has its own (R26)
	if got := c.ask("boxed, and the original closed", m).GetString("text"); got != "first" {
		t.Errorf("the service read %q", got)
	}
	rest := make([]byte, 6)
	_, err = io.ReadFull(mine, rest)
	must(t, err)
	if string(rest) != "second" {
		t.Errorf("this side reads on where the service stopped, not at %q (R27)", rest)
	}
	if got := c.ask("the same box again", m).GetString("text"); got != "third" {
		t.Errorf("the service read %q", got)
	}
}

func TestTrap_DescriptorsSurvive(t *testing.T) {
	w := begin(t, theService)
	c := w.to(serviceName)
	fd := c.ask("a reply with a descriptor", message("give descriptor", "")).DupFD("fd")
	f := os.NewFile(uintptr(fd), "from the service")
	defer f.Close()
	if text, err := io.ReadAll(f); err != nil || string(text) != "from the service" {
		t.Errorf("it holds %q, %v", text, err)
	}
	// As many as a message may carry, there and back, each of them the right one.
	const most = 253
	a := xpc.NewArray()
	for i := range most {
		f, err := os.Create(filepath.Join(w.dir, "many"))
		must(t, err)
		must(t, os.Remove(f.Name()))
		must(t, f.Truncate(int64(i)))
		a.AppendFD(int(f.Fd()))
		f.Close()
	}
	m := message("echo", "")
	m.Set("all", a)
	back := c.ask("253 descriptors", m).GetArray("all")
	for i := range most {
		f, err := back.Get(i).(*xpc.FD).File()
		must(t, err)
		info, err := f.Stat()
		must(t, err)
		if f.Close(); info.Size() != int64(i) {
			t.Fatalf("descriptor %d leads to a file of %d bytes", i, info.Size())
		}
		back.Get(i).(*xpc.FD).Close()
		a.Get(i).(*xpc.FD).Close()
	}
}

// What came with a message and nobody took is closed when its handler has
// returned: the service's collector does not run (R159).
func TestR159_UntakenDescriptorsAreClosed(t *testing.T) {
	j := theService
	j.env = map[string]string{"GOGC": "off"}
	w := begin(t, j)
	c := w.to(serviceName)
	before := c.ask("connected", message("descriptors", "")).GetInt64("descriptors")
	m := message("count", "")
	m.SetFD("fd", 0)
	for range 100 {
		c.SendMessage(m)
	}
	if after := c.ask("behind them", message("descriptors", "")).GetInt64("descriptors"); after != before {
		t.Errorf("the service has %d descriptors, before %d", after, before)
	}
	c.fails("dropped with its descriptor", withFD(message("drop", "")), xpc.ErrConnectionInterrupted)
	if after := c.ask("behind it", message("descriptors", "")).GetInt64("descriptors"); after != before {
		t.Errorf("after a dropped request the service has %d descriptors, before %d", after, before)
	}
	m.Get("fd").(*xpc.FD).Close()
}

// withFD adds standard input to a message.
func withFD(m *xpc.Dictionary) *xpc.Dictionary {
	m.SetFD("fd", 0)
	return m
}

func TestTrap_MessagesAbove64KiB(t *testing.T) {
	w := begin(t, theService)
	c := w.to(serviceName)
	for _, n := range []int{65535, 65536, 65537, 1 << 20, 9<<20 + 1} {
		data := make([]byte, n)
		for i := range data {
			data[i] = byte(i ^ i>>8 ^ i>>16)
		}
		m := message("echo", "")
		m.SetData("data", data)
		if got := c.ask("nothing is cut", m).GetData("data"); !bytes.Equal(got, data) {
			t.Errorf("%d bytes: %d came back, not the same", n, len(got))
		}
	}
}

// everything is a dictionary with a value of each type under the type's name.
func everything(t *testing.T) *xpc.Dictionary {
	t.Helper()
	m := message("echo", "everything")
	m.Set("null", xpc.Null{})
	m.SetBool("bool", true)
	m.SetInt64("int64", -5)
	m.SetUint64("uint64", math.MaxUint64)
	m.SetDouble("double", 2.5) // NaN is the getter's default
	m.SetDate("date", -1)
	m.SetData("data", []byte{0, 1, 2})
	m.SetString("string", "text")
	m.SetUUID("uuid", xpc.UUID{1, 2, 3})
	m.Set("array", xpc.NewArray(xpc.String("in"), xpc.NewArray()))
	inner := xpc.NewDictionary()
	inner.SetInt64("deep", 7)
	m.Set("dictionary", inner)
	m.Set("error", xpc.ErrConnectionInterrupted)
	return m
}

func TestT30_GettersOfTheWrongType(t *testing.T) {
	w := begin(t, theService)
	m := w.to(serviceName).ask("everything there and back", everything(t))
	for _, key := range []string{"null", "bool", "int64", "uint64", "double", "date", "data", "string", "uuid", "array", "dictionary", "error", "absent"} {
		check := func(getter string, isDefault bool) {
			if !isDefault && getter != key {
				t.Errorf("the %s getter of %s does not give its default (R37)", getter, key)
			}
			if isDefault && getter == key {
				t.Errorf("the %s getter gives its default for a value of its type", getter)
			}
		}
		check("bool", !m.GetBool(key))
		check("int64", m.GetInt64(key) == 0)
		check("uint64", m.GetUint64(key) == 0)
		check("double", math.IsNaN(m.GetDouble(key)))
		check("date", m.GetDate(key) == 0)
		check("data", m.GetData(key) == nil)
		check("string", m.GetString(key) == "")
		check("uuid", m.GetUUID(key) == xpc.UUID{})
		check("array", m.GetArray(key) == nil)
		check("dictionary", m.GetDictionary(key) == nil)
		if fd := m.DupFD(key); fd != -1 {
			t.Errorf("%s is no descriptor: %d", key, fd)
		}
	}
	if m.Get("absent") != nil || m.Get("null") != xpc.Object(xpc.Null{}) {
		t.Error("null is a value, absence is none (R35)")
	}
}

func TestT41_CopyEqualHash(t *testing.T) {
	w := begin(t, theService)
	m := everything(t)
	got := w.to(serviceName).ask("everything there and back", m)
	plain := message("echo", "everything")
	for key := range got.All() {
		if v := m.Get(key); v != nil {
			plain.Set(key, got.Get(key))
			if !xpc.Equal(got.Get(key), v) || xpc.Hash(got.Get(key)) != xpc.Hash(v) {
				t.Errorf("%s came back as another (R11)", key)
			}
		}
	}
	if !xpc.Equal(plain, m) || xpc.Hash(plain) != xpc.Hash(m) {
		t.Errorf("the whole is not equal: %v, %v", plain, m)
	}
	twin := xpc.Copy(got).(*xpc.Dictionary)
	if !xpc.Equal(twin, got) || xpc.Hash(twin) != xpc.Hash(got) {
		t.Error("a copy of what was received is equal (R10)")
	}
	twin.GetDictionary("dictionary").SetInt64("deep", 8)
	if got.GetDictionary("dictionary").GetInt64("deep") != 7 {
		t.Error("a copy is deep (R10)")
	}
	if twin.CreateReply() != nil || twin.RemoteConnection() != nil {
		t.Error("a copy is no received message")
	}
	one, err := xpc.NewFD(0)
	must(t, err)
	two, err := xpc.NewFD(0)
	must(t, err)
	if xpc.Equal(one, two) {
		t.Error("two boxes of one descriptor are not equal (R12)")
	}
	one.Close()
	two.Close()
}

func TestT42_ErrorsAreSingletons(t *testing.T) {
	w := begin(t, theService)
	m := message("echo", "")
	all := map[string]*xpc.Error{
		"Connection interrupted":                xpc.ErrConnectionInterrupted,
		"Connection invalid":                    xpc.ErrConnectionInvalid,
		"Termination imminent":                  xpc.ErrTerminationImminent,
		"Peer code signing requirement not met": xpc.ErrPeerCodeSigningRequirement,
	}
	for text, e := range all {
		m.Set(text, e)
	}
	got := w.to(serviceName).ask("there and back", m)
	for text, e := range all {
		if got.Get(text) != xpc.Object(e) {
			t.Errorf("%q came back as another object (R41)", text)
		}
		if e.Type() != xpc.TypeError || e.GetString(xpc.ErrorKeyDescription) != text {
			t.Errorf("%q is described as %q", text, e.GetString(xpc.ErrorKeyDescription))
		}
	}
}
