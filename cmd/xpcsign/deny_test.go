package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/openxpc/openxpc/credentials/codesign"
)

// A verifier that is running, and remembers the program, denies it soon after the
// command, and no more after the other one.
func TestDenyOnARunningVerifier(t *testing.T) {
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	root := t.TempDir()
	place := codesign.System(root)[1]
	for _, dir := range []string{place.Trust, place.Store} {
		must(os.MkdirAll(dir, 0o755))
	}
	now := time.Now().Truncate(time.Second)
	signer, c, err := codesign.NewTeam("EXAMPLE123", "", now.AddDate(0, 0, -1), now.AddDate(1, 0, 0))
	must(err)
	a := &codesign.Anchor{Name: "example", Certificate: c, Category: codesign.Developer, Teams: []string{"EXAMPLE123"}}
	must(os.WriteFile(filepath.Join(place.Trust, "example.pem"), a.Format(), 0o644))
	program := filepath.Join(root, "program")
	must(os.WriteFile(program, []byte("a program"), 0o755))
	f, err := os.Open(program)
	must(err)
	defer f.Close()
	digest, err := codesign.Measure(bytes.NewReader([]byte("a program")), 9)
	must(err)
	e, err := signer.Sign(&codesign.Manifest{Identifier: "com.example.program", Team: "EXAMPLE123", Created: now, Files: []codesign.File{{Digest: digest, Size: 9}}})
	must(err)
	_, err = codesign.StoreSignature(place.Store, e)
	must(err)

	v := codesign.NewVerifier(codesign.System(root), nil)
	verify := func() error {
		_, err := v.Verify(t.Context(), f)
		return err
	}
	must(verify())
	for _, step := range []struct {
		word string
		want error
	}{{"add", codesign.ErrDenied}, {"remove", nil}} {
		cmd := (&tool{out: io.Discard, err: io.Discard}).command()
		cmd.SetArgs([]string{"--root", root, "deny", step.word, "team", "EXAMPLE123"})
		must(cmd.Execute())
		for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			if err = verify(); errors.Is(err, step.want) {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("after deny %s: %v, want %v", step.word, err, step.want)
			}
		}
	}
}
