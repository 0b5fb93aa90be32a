package codesign

import (
	"bytes"
	"testing"
)

// What is accepted is the one encoding of what it says.
func FuzzParseManifest(f *testing.F) {
	for _, content := range []string{"", "content"} {
		b, err := manifest(content).Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ParseManifest(b)
		if err != nil {
			return
		}
		again, err := m.Encode()
		if err != nil || !bytes.Equal(again, b) {
			t.Errorf("%x is accepted, and encodes to %x, %v", b, again, err)
		}
	})
}

func FuzzParseEnvelope(f *testing.F) {
	w := newWorld(f)
	e := w.sign(manifest("content"))
	f.Add(e.Encode())
	f.Add(adHoc(f, manifest("content")).Encode())
	trust := LoadTrust([]Place{w.place})
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := ParseEnvelope(b)
		if err != nil {
			return
		}
		if again := got.Encode(); !bytes.Equal(again, b) {
			t.Errorf("%x is accepted, and encodes to %x", b, again)
		}
		file := got.Manifest.Files[0]
		p, err := trust.Check(got, file.Digest, file.Size, present)
		if err == nil && p.Code.Trusted && got.CDHash != e.CDHash {
			t.Errorf("forged: %x", b)
		}
	})
}

func FuzzParseAnchor(f *testing.F) {
	w := newWorld(f)
	f.Add(w.anchor.Format())
	f.Add([]byte("# text\nvalid: now\n" + string(w.anchor.Format())))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := ParseAnchor("example", b)
		if err != nil {
			return
		}
		again, err := ParseAnchor("example", a.Format())
		if err != nil || !bytes.Equal(again.Format(), a.Format()) {
			t.Errorf("%q is accepted, and formatted as %q: %v", b, a.Format(), err)
		}
	})
}

func FuzzList(f *testing.F) {
	f.Add([]byte("team EXAMPLE123 # gone\n\ncdhash 2d711642b726b04401627ca9fbac32f5c8530fb1\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		l := items{}
		if l.add("deny", b, "cdhash", "digest", "key", "team") != nil {
			return
		}
		var again bytes.Buffer
		for item := range l {
			again.WriteString(item + "\n")
		}
		n := items{}
		if err := n.add("deny", again.Bytes(), "cdhash", "digest", "key", "team"); err != nil || len(n) != len(l) {
			t.Errorf("%q is accepted, and formatted as %q: %v", b, again.Bytes(), err)
		}
	})
}

func FuzzParseSigner(f *testing.F) {
	w := newWorld(f)
	b, err := w.signer.Format()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := ParseSigner(b); err == nil {
			if _, err := s.Format(); err != nil {
				t.Errorf("%q is accepted: %v", b, err)
			}
		}
	})
}
