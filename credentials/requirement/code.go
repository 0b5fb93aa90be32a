package requirement

import (
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

// signed is the code that counts: what the signature of a hardened program says
// counts only if the kernel vouches for the process.
func signed(f *Facts) *Code {
	switch c := f.Code; {
	case c == nil, f.Assurance < Image, c.Flags&Hardened != 0 && f.Assurance < Granted:
		return nil
	default:
		return c
	}
}

// unsigned says why there is none.
func unsigned(f *Facts) string {
	why := f.Why
	switch {
	case f.Code == nil && why == "":
		return "no valid signature is known"
	case f.Code == nil:
		return "no valid signature is known: " + why
	case f.Assurance < Image:
		return fmt.Sprintf("its signature counts for nothing with the assurance %q", f.Assurance)
	}
	return fmt.Sprintf("it is signed as hardened, which counts for nothing with the assurance %q: install it with its marker group (xpcsign install)", f.Assurance)
}

// AtLeast is f for who wants code to be known as well as a says: with less, no code
// is known, and Why tells. f is not changed.
func (f *Facts) AtLeast(a Assurance) *Facts {
	if f.Code == nil || f.Assurance >= a {
		return f
	}
	g := *f
	g.Code = nil
	g.Why = fmt.Sprintf("%s is signed, but that is known with the assurance %q only and %q is demanded here; a requirement can say \"assurance %s\" to be content with less",
		f.Code.Identifier, f.Assurance, a, f.Assurance)
	if f.Why != "" {
		g.Why += "; " + f.Why
	}
	return &g
}

// onCode is what the leaves that test code share.
func onCode(f *Facts, test func(*Code) bool) Verdict {
	if c := signed(f); c != nil {
		return verdict(test(c))
	}
	return Indeterminate
}

func whyCode(f *Facts, is func(*Code) string) string {
	if c := signed(f); c != nil {
		return is(c)
	}
	return unsigned(f)
}

// always is met by every program with a valid signature, as on macOS.
type always struct{}

func (always) eval(f *Facts) Verdict    { return onCode(f, func(*Code) bool { return true }) }
func (always) why(f *Facts) string      { return unsigned(f) }
func (always) write(b *strings.Builder) { b.WriteString("always") }
func (always) need(n *Needs)            { n.Code = true }

type never struct{}

func (never) eval(*Facts) Verdict      { return False }
func (never) why(*Facts) string        { return "nobody meets it" }
func (never) write(b *strings.Builder) { b.WriteString("never") }
func (never) need(*Needs)              {}

type identifier string

func (i identifier) eval(f *Facts) Verdict {
	return onCode(f, func(c *Code) bool { return c.Identifier == string(i) })
}
func (i identifier) why(f *Facts) string {
	return whyCode(f, func(c *Code) string { return "it is " + quote(c.Identifier) })
}
func (i identifier) write(b *strings.Builder) { b.WriteString("identifier " + quote(string(i))) }
func (i identifier) need(n *Needs)            { n.Code = true }

type cdhash [20]byte

func (h cdhash) eval(f *Facts) Verdict {
	return onCode(f, func(c *Code) bool { return c.CDHash == h })
}
func (h cdhash) why(f *Facts) string {
	return whyCode(f, func(c *Code) string { return "it is " + hash(c.CDHash) })
}
func (h cdhash) write(b *strings.Builder) { b.WriteString("cdhash " + hash(h)) }
func (h cdhash) need(n *Needs)            { n.Code = true }

func hash(h [20]byte) string { return `H"` + hex.EncodeToString(h[:]) + `"` }

// origin is a test of the whole chain of certificates.
type origin uint8

const (
	appleAnchor origin = iota
	genericAnchor
	trustedChain
	notarized
	legacy
)

var origins = [...]string{"anchor apple", "anchor apple generic", "anchor trusted", "notarized", "legacy"}

func (o origin) eval(f *Facts) Verdict {
	return onCode(f, func(c *Code) bool {
		switch o {
		case appleAnchor:
			return c.Platform
		case genericAnchor, trustedChain:
			return c.Trusted
		}
		return false // there is no notary here, and nothing from before one
	})
}
func (o origin) why(f *Facts) string {
	return whyCode(f, func(c *Code) string {
		switch {
		case o == notarized || o == legacy:
			return "no such thing exists on this system"
		case o == appleAnchor:
			return quote(c.Identifier) + " is not of the platform: neither its anchor nor the trust cache says so"
		case c.Certificates == nil:
			return quote(c.Identifier) + " was signed without a certificate (ad-hoc)"
		}
		return "its certificates end in no anchor of the trust store"
	})
}
func (o origin) write(b *strings.Builder) { b.WriteString(origins[o]) }
func (o origin) need(n *Needs)            { n.Code = true }

// slot numbers certificates: 0 is the leaf, -1 the root.
type slot int

func (s slot) of(c *Code) *Certificate {
	i := int(s)
	if i < 0 {
		i += len(c.Certificates)
	}
	if i < 0 || i >= len(c.Certificates) {
		return nil
	}
	return &c.Certificates[i]
}

func (s slot) String() string {
	switch s {
	case 0:
		return "certificate leaf"
	case -1:
		return "certificate root"
	}
	return fmt.Sprintf("certificate %d", int(s))
}

type certTrusted struct{ slot slot }

func (t certTrusted) eval(f *Facts) Verdict {
	return onCode(f, func(c *Code) bool { cert := t.slot.of(c); return cert != nil && cert.Trusted })
}
func (t certTrusted) why(f *Facts) string {
	return whyCode(f, func(*Code) string { return "the trust store does not have this certificate" })
}
func (t certTrusted) write(b *strings.Builder) { b.WriteString(t.slot.String() + " trusted") }
func (t certTrusted) need(n *Needs)            { n.Code = true }

type certHash struct {
	slot slot
	hash [20]byte
}

func (h certHash) eval(f *Facts) Verdict {
	return onCode(f, func(c *Code) bool { cert := h.slot.of(c); return cert != nil && cert.SHA1 == h.hash })
}
func (h certHash) why(f *Facts) string {
	return whyCode(f, func(c *Code) string {
		if cert := h.slot.of(c); cert != nil {
			return "it is " + hash(cert.SHA1)
		}
		return noCertificate(c)
	})
}
func (h certHash) write(b *strings.Builder) { b.WriteString(h.slot.String() + " = " + hash(h.hash)) }
func (h certHash) need(n *Needs)            { n.Code = true }

func noCertificate(c *Code) string {
	return fmt.Sprintf("it has no such certificate, but %d", len(c.Certificates))
}

// certField is certificate N[subject.OU] and its like; kind and name are the two
// halves of the key.
type certField struct {
	slot       slot
	kind, name string
	match      match
}

// subjects are the fields of a name that the language knows.
var subjects = map[string]bool{
	"C": true, "CN": true, "D": true, "L": true, "O": true, "C-O": true, "OU": true, "C-OU": true,
	"ST": true, "C-ST": true, "STREET": true, "C-STREET": true, "UID": true,
}

func (t certField) value(c *Code) (any, bool) {
	cert := t.slot.of(c)
	if cert == nil {
		return nil, false
	}
	switch t.kind {
	case "subject":
		var all []any
		for _, s := range cert.Subject[t.name] {
			all = append(all, s)
		}
		return all, all != nil
	case "policy":
		for _, p := range cert.Policies {
			if p == t.name {
				return true, true
			}
		}
		return nil, false
	}
	der, ok := cert.Extensions[t.name]
	if !ok {
		return nil, false
	}
	if t.kind == "timestamp" {
		at, ok := derTime(der)
		return at, ok
	}
	return true, true
}

// derTime reads an ASN.1 UTCTime or GeneralizedTime.
func derTime(der []byte) (time.Time, bool) {
	if len(der) < 2 || int(der[1]) != len(der)-2 {
		return time.Time{}, false
	}
	layout := map[byte]string{0x17: "060102150405Z", 0x18: "20060102150405Z"}[der[0]]
	at, err := time.Parse(layout, string(der[2:]))
	if der[0] == 0x17 && at.Year() >= 2050 {
		at = at.AddDate(-100, 0, 0) // X.509 reads two digits so
	}
	return at, layout != "" && err == nil
}

func (t certField) eval(f *Facts) Verdict {
	return onCode(f, func(c *Code) bool { return t.slot.of(c) != nil && t.match.holds(t.value(c)) })
}
func (t certField) why(f *Facts) string {
	return whyCode(f, func(c *Code) string {
		if t.slot.of(c) == nil {
			return noCertificate(c)
		}
		return found(t.value(c))
	})
}
func (t certField) write(b *strings.Builder) {
	key := t.kind + "." + t.name
	if strings.Contains(key, "-") {
		key = quote(key)
	}
	b.WriteString(t.slot.String() + "[" + key + "]")
	t.match.write(b)
}
func (t certField) need(n *Needs) { n.Code = true }

// property is entitlement["key"] or info["key"].
type property struct {
	info  bool
	key   string
	match match
}

func (p property) value(c *Code) (any, bool) {
	m := c.Entitlements
	if p.info {
		m = c.Info
	}
	v, ok := m[p.key]
	return v, ok
}

func (p property) eval(f *Facts) Verdict {
	return onCode(f, func(c *Code) bool { return p.match.holds(p.value(c)) })
}
func (p property) why(f *Facts) string {
	return whyCode(f, func(c *Code) string { return found(p.value(c)) })
}
func (p property) write(b *strings.Builder) {
	word := "entitlement["
	if p.info {
		word = "info["
	}
	b.WriteString(word + quote(p.key) + "]")
	p.match.write(b)
}
func (p property) need(n *Needs) { n.Code = true }
