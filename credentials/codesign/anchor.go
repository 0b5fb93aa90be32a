package codesign

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Category says what an anchor's signatures are worth.
type Category string

// The categories.
const (
	// Platform: the distribution's own programs; validation-category 1.
	Platform Category = "platform"
	// Developer: programs of a team that somebody vouches for; validation-category 6.
	Developer Category = "developer"
	// Local: signed on this machine, for it alone; validation-category 7.
	Local Category = "local"

	adHocCode = 10
)

var categoryCodes = map[Category]int64{Platform: 1, Developer: 6, Local: 7}

// Any in Teams allows every team, in Entitlements every entitlement.
const Any = "*"

// Anchor is a certificate that is trusted, and for what. Its file NAME.pem has lines
// "key: value" before the certificate, where PEM allows for text:
//
//	# Example, Incorporated
//	category: developer
//	team: EXAMPLE123
//	entitlement: com.example.*
//	-----BEGIN CERTIFICATE-----
//
// team and entitlement may stand there more than once; without one, there is none.
type Anchor struct {
	// Name is that of the file, without ".pem".
	Name string
	// Path is the file.
	Path string
	// Certificate is one of an authority that may sign certificates.
	Certificate *x509.Certificate
	// Category is what its signatures are worth.
	Category Category
	// Teams are those that it vouches for; Any for all.
	Teams []string
	// Entitlements are those that it may grant: whole names, or the beginning of
	// names and a "*" ("com.example.*").
	Entitlements []string
	// ValidNow demands that the certificates are valid when a program is verified,
	// not only when it was signed ("valid: now"). The anchor always has to be.
	ValidNow bool
}

const (
	maxAnchor     = 64 << 10
	maxAnchors    = 1024
	maxAllowances = 1024
)

// ParseAnchor reads an anchor's file.
func ParseAnchor(name string, b []byte) (*Anchor, error) {
	a, err := parseAnchor(name, b)
	if err != nil {
		return nil, fail(ErrMalformed, "anchor %s: %w", name, err)
	}
	return a, nil
}

func parseAnchor(name string, b []byte) (*Anchor, error) {
	if len(b) > maxAnchor {
		return nil, fmt.Errorf("more than the %d bytes that it may have", maxAnchor)
	}
	a := &Anchor{Name: name}
	block, rest := pem.Decode(b)
	if block == nil || block.Type != "CERTIFICATE" || len(block.Headers) > 0 {
		return nil, errors.New("no certificate in PEM")
	}
	if len(bytes.TrimSpace(rest)) > 0 {
		return nil, errors.New("something follows the certificate: each anchor has a file of its own")
	}
	begin := bytes.Index(b, []byte("-----BEGIN"))
	for n, line := range strings.Split(strings.TrimSuffix(string(b[:begin]), "\n"), "\n") {
		if err := a.line(line); err != nil {
			return nil, fmt.Errorf("line %d: %w", n+1, err)
		}
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, err
	}
	a.Certificate = c
	return a, a.check()
}

// line reads one line of the text before the certificate.
func (a *Anchor) line(line string) error {
	line, _, _ = strings.Cut(line, "#")
	if line = strings.TrimSpace(line); line == "" {
		return nil
	}
	key, value, ok := strings.Cut(line, ":")
	if value = strings.TrimSpace(value); !ok || value == "" {
		return fmt.Errorf("%q is not a key with a value", line)
	}
	switch key {
	case "category":
		if a.Category != "" {
			return errors.New("a second category")
		}
		a.Category = Category(value)
	case "team":
		a.Teams = append(a.Teams, value)
	case "entitlement":
		a.Entitlements = append(a.Entitlements, value)
	case "valid":
		if value != "now" {
			return fmt.Errorf("valid: %q is not now", value)
		}
		a.ValidNow = true
	default:
		return fmt.Errorf("unknown key %q: there are category, team, entitlement and valid", key)
	}
	return nil
}

func (a *Anchor) check() error {
	switch {
	case categoryCodes[a.Category] == 0:
		return fmt.Errorf("category %q is none of %s", a.Category, slices.Sorted(maps.Keys(categoryCodes)))
	case !a.Certificate.IsCA || !a.Certificate.BasicConstraintsValid:
		return errors.New("the certificate is not an authority's: it cannot vouch for others")
	case len(a.Teams)+len(a.Entitlements) > maxAllowances:
		return fmt.Errorf("more than the %d teams and entitlements that it may have", maxAllowances)
	}
	for _, team := range a.Teams {
		if err := CheckTeam(team); team != Any && err != nil {
			return err
		}
	}
	for _, e := range a.Entitlements {
		if i := strings.IndexByte(e, '*'); i >= 0 && i != len(e)-1 {
			return fmt.Errorf("entitlement %q has a * before its end", e)
		}
	}
	return nil
}

// Format gives the file that ParseAnchor reads.
func (a *Anchor) Format() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "category: %s\n", a.Category)
	for _, team := range a.Teams {
		fmt.Fprintf(&b, "team: %s\n", team)
	}
	for _, e := range a.Entitlements {
		fmt.Fprintf(&b, "entitlement: %s\n", e)
	}
	if a.ValidNow {
		b.WriteString("valid: now\n")
	}
	b.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.Certificate.Raw}))
	return b.Bytes()
}

// AllowsTeam says whether the anchor vouches for the team.
func (a *Anchor) AllowsTeam(team string) bool {
	return slices.Contains(a.Teams, team) || slices.Contains(a.Teams, Any)
}

// AllowsEntitlement says whether the anchor may grant the entitlement.
func (a *Anchor) AllowsEntitlement(name string) bool {
	return slices.ContainsFunc(a.Entitlements, func(e string) bool {
		prefix, wild := strings.CutSuffix(e, "*")
		return e == name || wild && strings.HasPrefix(name, prefix)
	})
}
