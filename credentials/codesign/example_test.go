package codesign_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/openxpc/openxpc/credentials/codesign"
)

// signed makes a team, signs the file with it, and gives the place that knows both.
func signed(dir, file string) (codesign.Place, error) {
	now := time.Now().Truncate(time.Second)
	signer, certificate, err := codesign.NewTeam("EXAMPLE123", codesign.Ed25519, now.Add(-time.Hour), now.AddDate(1, 0, 0))
	if err != nil {
		return codesign.Place{}, err
	}
	anchor := codesign.Anchor{Certificate: certificate, Category: codesign.Developer, Teams: []string{"EXAMPLE123"}, Entitlements: []string{"com.example.*"}}
	place := codesign.Place{Trust: filepath.Join(dir, "trust.d"), Store: filepath.Join(dir, "store"), Owner: os.Geteuid()}
	if err := os.Mkdir(place.Trust, 0o755); err != nil {
		return place, err
	}
	if err := codesign.WriteFile(filepath.Join(place.Trust, "example.pem"), anchor.Format(), 0o644); err != nil {
		return place, err
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return place, err
	}
	digest, err := codesign.Measure(strings.NewReader(string(content)), int64(len(content)))
	if err != nil {
		return place, err
	}
	envelope, err := signer.Sign(&codesign.Manifest{
		Identifier: "com.example.tool", Team: "EXAMPLE123", Created: now,
		Files:        []codesign.File{{Digest: digest, Size: int64(len(content))}},
		Entitlements: map[string]any{"com.example.read": true},
	})
	if err != nil {
		return place, err
	}
	_, err = codesign.StoreSignature(place.Store, envelope)
	return place, err
}

func ExampleVerifier() {
	dir, _ := os.MkdirTemp("", "codesign-")
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "tool")
	os.WriteFile(file, []byte("#!"), 0o755)
	place, err := signed(dir, file)
	if err != nil {
		fmt.Println(err)
		return
	}
	v := codesign.NewVerifier([]codesign.Place{place}, nil)
	exe, _ := os.Open(file)
	defer exe.Close()
	program, err := v.Verify(context.Background(), exe)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(program.Code.Identifier, program.Code.Team, program.Code.Entitlements)
	// Output: com.example.tool EXAMPLE123 map[com.example.read:true]
}

func ExampleReason() {
	file, _ := os.CreateTemp("", "codesign-")
	defer os.Remove(file.Name())
	defer file.Close()
	_, err := codesign.NewVerifier(nil, nil).Verify(context.Background(), file)
	fmt.Println(errors.Is(err, codesign.ErrUnsigned))
	// Output: true
}

func ExampleError() {
	_, err := codesign.ParseEnvelope(nil)
	var e *codesign.Error
	fmt.Println(errors.As(err, &e), e.Reason)
	fmt.Println(e)
	// Output:
	// true codesign: malformed
	// signature: byte 0: ends too early
}

func ExampleDigest() {
	d, err := codesign.Measure(strings.NewReader(""), 0)
	fmt.Println(d, err)
	// Output: 3d248ca542a24fc62d1c43b916eae5016878e2533c88238480b26128a1f1af95 <nil>
}

func ExampleManifest() {
	m := codesign.Manifest{Identifier: "com.example.tool"}
	_, err := m.Encode()
	fmt.Println(err)
	m.Created = time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)
	m.Files = []codesign.File{{Arch: "amd64"}}
	b, err := m.Encode()
	fmt.Println(len(b) < codesign.MaxManifest, err)
	// Output:
	// manifest: created is missing
	// true <nil>
}

func ExampleFile() {
	m := codesign.Manifest{Identifier: "com.example.tool", Created: time.Now().Truncate(time.Second)}
	m.Files = []codesign.File{{Digest: codesign.Digest{1}, Arch: "amd64"}, {Digest: codesign.Digest{0}, Arch: "arm64"}}
	_, err := m.Encode()
	fmt.Println(err)
	// Output: manifest: files are not in the order of their digests, or one is there twice
}

func ExampleEnvelope() {
	m := codesign.Manifest{Identifier: "com.example.tool", Created: time.Now().Truncate(time.Second), Files: make([]codesign.File, 1)}
	e, err := codesign.Sign(&m, nil, nil)
	fmt.Println(e.Algorithm, err)
	again, err := codesign.ParseEnvelope(e.Encode())
	fmt.Println(again.CDHash == e.CDHash, err)
	// Output:
	// none <nil>
	// true <nil>
}

func ExampleAnchor() {
	a := codesign.Anchor{Teams: []string{"EXAMPLE123"}, Entitlements: []string{"com.example.*", "org.example.one"}}
	fmt.Println(a.AllowsTeam("EXAMPLE123"), a.AllowsTeam("OTHER"))
	fmt.Println(a.AllowsEntitlement("com.example.read"), a.AllowsEntitlement("org.example.one.more"))
	// Output:
	// true false
	// true false
}

func ExampleCategory() {
	a := codesign.Anchor{Category: codesign.Developer}
	fmt.Println(a.Category)
	// Output: developer
}

func ExamplePlace() {
	p := codesign.User("/home/u/.config", "/home/u/.local/share", 1000)
	fmt.Println(p.Trust, p.Store)
	fmt.Println(codesign.System("")[1].Deny)
	// Output:
	// /home/u/.config/xpc/trust.d /home/u/.local/share/xpc/codesign
	// /etc/xpc/deny
}

func ExampleDenied() {
	list, err := codesign.ParseDenyList("deny", []byte("team EXAMPLE123 # lost its key\n"))
	fmt.Println(list, err)
	fmt.Println(codesign.Denied{Kind: "cdhash", Value: "2d71"}.Check())
	// Output:
	// [team EXAMPLE123 # lost its key] <nil>
	// "2d71" is not 40 hexadecimal digits in lower case
}

func ExampleTrust() {
	t := codesign.LoadTrust([]codesign.Place{{Trust: "/nonexistent"}})
	fmt.Println(t.Anchors, t.Problems, t.Broken)
	// Output: [] [] <nil>
}

func ExampleOptions() {
	v := codesign.NewVerifier(nil, &codesign.Options{Images: 100})
	fmt.Println(v.Generation())
	// Output: 1
}

func ExampleProgram() {
	p := codesign.Program{Manifest: &codesign.Manifest{Identifier: "com.example.tool"}}
	fmt.Println(p.Manifest.Identifier, p.Anchor == nil)
	// Output: com.example.tool true
}

func ExampleSigner() {
	now := time.Now().Truncate(time.Second)
	s, anchor, err := codesign.NewTeam("EXAMPLE123", "", now, now.AddDate(1, 0, 0))
	fmt.Println(s.Team(), anchor.Subject, err)
	// Output: EXAMPLE123 CN=EXAMPLE123 anchor,OU=EXAMPLE123 <nil>
}
