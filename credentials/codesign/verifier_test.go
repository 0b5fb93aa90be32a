package codesign

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var ctx = context.Background()

func TestVerify(t *testing.T) {
	w := newWorld(t)
	f := w.program("content")
	e := w.sign(manifest("content"))
	w.store(e)
	p, err := w.verifier().Verify(ctx, f)
	if err != nil {
		t.Fatal(err)
	}
	c := p.Code
	if c.Identifier != "com.example.tool" || c.Team != "EXAMPLE123" || c.Category != 6 || !c.Trusted || c.Platform || c.CDHash != e.CDHash {
		t.Errorf("code %+v", c)
	}
	if !cmp.Equal(c.Entitlements, manifest("").Entitlements) || !cmp.Equal(c.Info, manifest("").Info) {
		t.Errorf("entitlements %v, info %v", c.Entitlements, c.Info)
	}
	if len(c.Certificates) != 2 || c.Certificates[0].Trusted || !c.Certificates[1].Trusted {
		t.Errorf("certificates %+v, want the leaf and the anchor", c.Certificates)
	}
	if got := c.Certificates[0].Subject; !cmp.Equal(got, map[string][]string{"CN": {"EXAMPLE123 signing"}, "OU": {"EXAMPLE123"}}) {
		t.Errorf("subject %v", got)
	}
	if p.Anchor.Name != "example" || p.Signature != SignaturePath(w.place.Store, p.Digest) {
		t.Errorf("anchor %v, signature %s", p.Anchor, p.Signature)
	}
}

func TestUnsigned(t *testing.T) {
	w := newWorld(t)
	if _, err := w.verifier().Verify(ctx, w.program("other")); !errors.Is(err, ErrUnsigned) {
		t.Errorf("no signature: %v", err)
	}
	if _, err := NewVerifier(nil, nil).Verify(ctx, w.program("x")); !errors.Is(err, ErrUnsigned) {
		t.Errorf("no place: %v", err)
	}
	dir, err := os.Open(t.TempDir())
	w.ok(err)
	defer dir.Close()
	if _, err := w.verifier().Verify(ctx, dir); !errors.Is(err, ErrImage) {
		t.Errorf("a folder: %v", err)
	}
}

// What nobody vouches for says its name, and has no entitlements.
func TestAdHoc(t *testing.T) {
	w := newWorld(t)
	f := w.program("content")
	e := adHoc(t, manifest("content"))
	w.store(e)
	v := w.verifier()
	p, err := v.Verify(ctx, f)
	if err != nil {
		t.Fatal(err)
	}
	if c := p.Code; c.Category != 10 || c.Team != "" || c.Trusted || c.Platform || c.Entitlements != nil || c.Info != nil || c.Certificates != nil || c.Identifier == "" {
		t.Errorf("code %+v", c)
	}
	t.Run("in the trust cache", func(t *testing.T) {
		w.write(filepath.Join(w.place.Platform, "base.list"), "# all of it\ncdhash "+hexOf(e.CDHash[:])+" # tool\n")
		p, err := w.verifier().Verify(ctx, f)
		if err != nil {
			t.Fatal(err)
		}
		if c := p.Code; c.Category != 1 || !c.Platform || c.Trusted || len(c.Entitlements) != 2 {
			t.Errorf("code %+v", c)
		}
	})
	t.Run("in a user's trust cache", func(t *testing.T) {
		user := w.place
		user.User = true
		p, err := NewVerifier([]Place{user}, nil).Verify(ctx, f)
		if err != nil || p.Code.Platform {
			t.Errorf("%+v, %v: no user adds to the platform", p, err)
		}
	})
}
