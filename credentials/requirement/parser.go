package requirement

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Parse reads a requirement in Apple's code signing requirement language:
//
//	anchor apple generic and certificate leaf[subject.OU] = "EXAMPLE123"
//	identifier "com.example.tool" and entitlement["com.example.see"] exists
//	info[CFBundleShortVersionString] >= "17.4" and !cdhash H"0123456789abcdef0123456789abcdef01234567"
//
// and in what is added to it here, so that every requirement can be written down:
//
//	uid 0    gid 100                          user and group, also a supplementary one
//	unit "sshd.service"   cgroup "/a"*        where it runs; wildcards as elsewhere
//	label "sshd_t"   container   container "web"   host
//	assurance granted                         or better
//	{"team-identifier": "EXAMPLE123"}         a lightweight code requirement (LightweightCode)
//	not                                       the same as !
//
// The error is a [*SyntaxError]; a set of requirements (designated => ...) is one, too:
// see [ParseSet]. What this system cannot know (platform = N, named anchors and
// requirements, certificates by path) is Indeterminate: see [Requirement.Supported].
func Parse(s string) (*Requirement, error) {
	p, err := newParser(s)
	if err != nil {
		return nil, err
	}
	top, err := p.or()
	if err != nil {
		return nil, err
	}
	if err := p.semicolons(); err != nil {
		return nil, err
	}
	if p.tok.kind != endOfText {
		return nil, p.unexpected(`"and", "or" or the end`)
	}
	return &Requirement{top}, nil
}

// newParser stands at the first word of a text that has one.
func newParser(s string) (*parser, error) {
	p := &parser{lexer: lexer{text: s}}
	switch {
	case len(s) > MaxText:
		return nil, &SyntaxError{1, 1, fmt.Sprintf("the text is %d bytes long, the limit is %d", len(s), MaxText)}
	case !utf8.ValidString(s):
		return nil, &SyntaxError{1, 1, "the text is not UTF-8"}
	case strings.ContainsRune(s, 0):
		return nil, p.fail(strings.IndexByte(s, 0), "a NUL character")
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	if p.tok.kind == endOfText {
		return nil, p.unexpected("a requirement")
	}
	return p, nil
}

func (p *parser) semicolons() error {
	for p.tok.is(";") {
		if err := p.advance(); err != nil {
			return err
		}
	}
	return nil
}

// parser looks one token ahead.
type parser struct {
	lexer
	tok   token
	depth int
}

func (p *parser) advance() (err error) {
	p.tok, err = p.next()
	return err
}

func (p *parser) unexpected(want string) error {
	hint := ""
	switch {
	case p.tok.is("=>"):
		return p.fail(p.tok.at, "a set of requirements is not a requirement: give the expression behind one of its \"=>\"")
	case p.tok.is("-") || p.tok.is("*") || p.tok.is(":"):
		hint = "; names with anything but letters, digits and periods must be quoted"
	}
	return p.fail(p.tok.at, "%s stands where %s is expected%s", p.tok, want, hint)
}

func (p *parser) expect(s string) error {
	if !p.tok.is(s) {
		return p.unexpected(strconv.Quote(s))
	}
	return p.advance()
}

// accept passes over the symbol s, if it is next.
func (p *parser) accept(s string) (bool, error) {
	if !p.tok.is(s) {
		return false, nil
	}
	return true, p.advance()
}

func (p *parser) acceptWord(s string) (bool, error) {
	if !p.tok.isWord(s) {
		return false, nil
	}
	return true, p.advance()
}

// deeper counts what nests; each is undone by p.depth--.
func (p *parser) deeper() error {
	if p.depth++; p.depth > MaxDepth {
		return p.fail(p.tok.at, "it nests deeper than %d", MaxDepth)
	}
	return nil
}

func (p *parser) or() (node, error)  { return p.chain("or", p.and, anyOf) }
func (p *parser) and() (node, error) { return p.chain("and", p.primary, allOf) }

func (p *parser) chain(between string, part func() (node, error), join func([]node) node) (node, error) {
	var list []node
	for {
		n, err := part()
		if err != nil {
			return nil, err
		}
		list = append(list, n)
		more, err := p.acceptWord(between)
		if err != nil {
			return nil, err
		}
		if !more {
			return join(list), nil
		}
	}
}

func (p *parser) primary() (node, error) {
	switch {
	case p.tok.is("("):
		return p.group()
	case p.tok.is("!"), p.tok.isWord("not"):
		if err := p.deeper(); err != nil {
			return nil, err
		}
		defer func() { p.depth-- }()
		if err := p.advance(); err != nil {
			return nil, err
		}
		n, err := p.primary()
		if err != nil {
			return nil, err
		}
		return negate(n), nil
	case p.tok.is("{"):
		at := p.tok.at
		m, err := p.dictionary()
		if err != nil {
			return nil, err
		}
		top, err := compile(m)
		if err != nil {
			return nil, p.fail(at, "%s", err)
		}
		return lightweight{top, m}, nil
	case p.tok.kind == word:
		return p.clause()
	}
	return nil, p.unexpected("a clause")
}

func (p *parser) group() (node, error) {
	if err := p.deeper(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	if err := p.advance(); err != nil {
		return nil, err
	}
	name := p.tok
	if name.kind == quoted || name.kind == word && clauses[name.text] == nil && name.text != "not" {
		if err := p.advance(); err != nil {
			return nil, err
		}
		if p.tok.is(")") {
			return unknowable{"(" + quote(name.text) + ")", "it names a requirement that the system has, and this one has none: write it out"}, p.advance()
		}
		p.lexer.at = name.at
		if err := p.advance(); err != nil {
			return nil, err
		}
	}
	n, err := p.or()
	if err != nil {
		return nil, err
	}
	return n, p.expect(")")
}

// clauses is what a clause can begin with.
var clauses map[string]func(*parser) (node, error)

func init() {
	constant := func(n node) func(*parser) (node, error) {
		return func(*parser) (node, error) { return n, nil }
	}
	place := func(k placeKind) func(*parser) (node, error) {
		return func(p *parser) (node, error) { return p.place(k) }
	}
	clauses = map[string]func(*parser) (node, error){
		"always": constant(always{}), "true": constant(always{}),
		"never": constant(never{}), "false": constant(never{}),
		"notarized": constant(notarized), "legacy": constant(legacy),
		"anchor": (*parser).anchor, "certificate": (*parser).certificate, "cert": (*parser).certificate,
		"info":        func(p *parser) (node, error) { return p.property(true) },
		"entitlement": func(p *parser) (node, error) { return p.property(false) },
		"identifier":  (*parser).identifier, "cdhash": (*parser).cdhash, "platform": (*parser).platform,
		"uid":  func(p *parser) (node, error) { return p.id(false) },
		"gid":  func(p *parser) (node, error) { return p.id(true) },
		"unit": place(unit), "cgroup": place(cgroup), "label": place(label), "container": place(container),
		"host": constant(host{}), "assurance": (*parser).assurance,
	}
}

func (p *parser) clause() (node, error) {
	first := p.tok
	if err := p.advance(); err != nil {
		return nil, err
	}
	if p.tok.is("=>") {
		return nil, p.unexpected("")
	}
	if f := clauses[first.text]; f != nil {
		return f(p)
	}
	return nil, p.fail(first.at, "%s begins no clause; one begins with anchor, certificate, identifier, entitlement, info, cdhash, always, never, "+
		"notarized, legacy, uid, gid, unit, cgroup, label, container, host, assurance, a brace or a parenthesis", first)
}

// equals passes over an optional equals sign.
func (p *parser) equals() (bool, error) {
	if p.tok.is("=") || p.tok.is("==") {
		return true, p.advance()
	}
	return false, nil
}

// name is a text, quoted or not.
func (p *parser) name(what string) (string, error) {
	t := p.tok
	if t.kind != word && t.kind != quoted {
		return "", p.unexpected(what)
	}
	return t.text, p.advance()
}

func (p *parser) identifier() (node, error) {
	if _, err := p.equals(); err != nil {
		return nil, err
	}
	at := p.tok.at
	s, err := p.name("an identifier")
	if err == nil && s == "" {
		err = p.fail(at, "the identifier is empty")
	}
	return identifier(s), err
}

func (p *parser) cdhash() (node, error) {
	if _, err := p.equals(); err != nil {
		return nil, err
	}
	h, err := p.hash()
	return cdhash(h), err
}

func (p *parser) hash() (h [20]byte, err error) {
	t := p.tok
	if t.kind != hexData {
		return h, p.unexpected(`a hash, H"40 hexadecimal digits",`)
	}
	if len(t.text) != 2*len(h) {
		return h, p.fail(t.at, "a hash has 40 hexadecimal digits, not %d", len(t.text))
	}
	if _, err := hex.Decode(h[:], []byte(t.text)); err != nil {
		return h, p.fail(t.at, "a hash has hexadecimal digits only")
	}
	return h, p.advance()
}

func (p *parser) platform() (node, error) {
	if _, err := p.equals(); err != nil {
		return nil, err
	}
	n, err := strconv.ParseInt(p.tok.text, 10, 32)
	if p.tok.kind != word || err != nil {
		return nil, p.unexpected("the number of a platform")
	}
	return unknowable{fmt.Sprintf("platform = %d", n), "platforms have no numbers on this system; \"anchor apple\" is met by the platform's own programs"}, p.advance()
}

func (p *parser) anchor() (node, error) {
	switch {
	case p.tok.isWord("apple"):
		if err := p.advance(); err != nil {
			return nil, err
		}
		if generic, err := p.acceptWord("generic"); generic || err != nil {
			return genericAnchor, err
		}
		if p.tok.kind == quoted || p.tok.kind == word && isLetter(p.tok.text[0]) && p.tok.text != "and" && p.tok.text != "or" && kindNumber(p.tok.text) < 0 {
			return unknowable{"anchor apple " + quote(p.tok.text), "anchors have no such names on this system; give the hash of its certificate: anchor = H\"...\""}, p.advance()
		}
		return appleAnchor, nil
	case p.tok.isWord("generic"):
		if err := p.advance(); err != nil {
			return nil, err
		}
		if apple, err := p.acceptWord("apple"); !apple || err != nil {
			return nil, firstError(err, p.unexpected(`"apple"`))
		}
		return genericAnchor, nil
	case p.tok.isWord("trusted"):
		return trustedChain, p.advance()
	}
	return p.slotted(-1)
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *parser) certificate() (node, error) {
	if trusted, err := p.acceptWord("trusted"); trusted || err != nil {
		return trustedChain, err
	}
	s, err := p.slot()
	if err != nil {
		return nil, err
	}
	if trusted, err := p.acceptWord("trusted"); trusted || err != nil {
		return certTrusted{s}, err
	}
	return p.slotted(s)
}

func (p *parser) slot() (slot, error) {
	switch {
	case p.tok.isWord("leaf"):
		return 0, p.advance()
	case p.tok.isWord("root"):
		return -1, p.advance()
	}
	negative, err := p.accept("-")
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(p.tok.text, 10, 16)
	if p.tok.kind != word || err != nil {
		return 0, p.unexpected(`"leaf", "root" or the number of a certificate`)
	}
	if negative {
		n = -n
	}
	return slot(n), p.advance()
}

// slotted is what is asked of one certificate.
func (p *parser) slotted(s slot) (node, error) {
	if p.tok.is("[") {
		return p.field(s)
	}
	if _, err := p.equals(); err != nil {
		return nil, err
	}
	if p.tok.kind == path || p.tok.kind == quoted && strings.HasPrefix(p.tok.text, "/") {
		return unknowable{s.String() + " = " + quote(p.tok.text), "a requirement is held against no files: give the certificate's SHA-1, H\"...\" (openssl x509 -noout -fingerprint -sha1 -in FILE)"}, p.advance()
	}
	h, err := p.hash()
	return certHash{s, h}, err
}

func (p *parser) field(s slot) (node, error) {
	at, key, err := p.key()
	if err != nil {
		return nil, err
	}
	kind, name, _ := strings.Cut(key, ".")
	switch {
	case kind == "extension":
		kind = "field"
		fallthrough
	case kind == "field", kind == "policy", kind == "timestamp":
		if !isOID(name) {
			return nil, p.fail(at, "%s. is followed by a dotted object identifier, as 1.2.840.113635.100.6.1.13", kind)
		}
	case kind == "subject" && subjects[name]:
	case kind == "subject":
		return nil, p.fail(at, "a subject has the fields CN, C, D, L, O, OU, ST, STREET and UID, not %q", name)
	default:
		return nil, p.fail(at, "a certificate has subject.X, field.OID, policy.OID and timestamp.OID, not %q", key)
	}
	m, err := p.match()
	return certField{s, kind, name, m}, err
}

func isOID(s string) bool {
	for _, part := range strings.Split(s, ".") {
		if part == "" || digits(part) != len(part) {
			return false
		}
	}
	return strings.Contains(s, ".")
}

// key is [text]; at is where the text begins.
func (p *parser) key() (at int, key string, err error) {
	if err := p.expect("["); err != nil {
		return 0, "", err
	}
	at = p.tok.at
	if key, err = p.name("a key"); err != nil {
		return 0, "", err
	}
	if key == "" {
		return 0, "", p.fail(at, "the key is empty")
	}
	return at, key, p.expect("]")
}

func (p *parser) property(info bool) (node, error) {
	_, key, err := p.key()
	if err != nil {
		return nil, err
	}
	m, err := p.match()
	return property{info, key, m}, err
}

func (p *parser) match() (match, error) {
	switch {
	case p.tok.isWord("exists"):
		return match{}, p.advance()
	case p.tok.isWord("absent"):
		return match{op: absent}, p.advance()
	case p.tok.is("~"):
		if err := p.advance(); err != nil {
			return match{}, err
		}
		at := p.tok.at
		v, err := p.value()
		return p.wild(match{contains, v}, at, err)
	case p.tok.kind == symbol && orders[p.tok.text] != exists:
		o := orders[p.tok.text]
		if err := p.advance(); err != nil {
			return match{}, err
		}
		v, err := p.value()
		return match{o, v}, err
	}
	if is, err := p.equals(); err != nil {
		return match{}, err
	} else if !is {
		return match{}, nil
	}
	return p.pattern()
}

// pattern is what follows an equals sign: a value, or a text with wildcards outside its quotation marks.
func (p *parser) pattern() (match, error) {
	front, err := p.accept("*")
	if err != nil {
		return match{}, err
	}
	at := p.tok.at
	v, err := p.value()
	if err != nil {
		return match{}, err
	}
	back, err := p.accept("*")
	if err != nil {
		return match{}, err
	}
	m := match{equal, v}
	switch {
	case front && back:
		m.op = contains
	case front:
		m.op = ends
	case back:
		m.op = begins
	}
	return p.wild(m, at, nil)
}

// wild refuses wildcards around what is no text; at is where it stands.
func (p *parser) wild(m match, at int, err error) (match, error) {
	if _, isTime := m.with.(time.Time); err == nil && isTime && m.op != equal {
		err = p.fail(at, "only a text has wildcards")
	}
	return m, err
}

func (p *parser) value() (any, error) {
	t := p.tok
	if digits, ok := strings.CutPrefix(t.text, "0x"); ok && t.kind == word {
		data, err := hex.DecodeString(digits)
		if err != nil || len(data) == 0 {
			return nil, p.fail(t.at, "%s is not an even number of hexadecimal digits", t)
		}
		return data, p.advance()
	}
	s, err := p.name("a value")
	if err == nil && t.isWord("timestamp") && p.tok.kind == quoted {
		return p.timestamp()
	}
	return s, err
}

func (p *parser) timestamp() (any, error) {
	for _, layout := range []string{time.RFC3339, "20060102150405Z", time.DateOnly} {
		if at, err := time.Parse(layout, p.tok.text); err == nil && at.UTC().Year() >= 0 && at.UTC().Year() <= 9999 {
			return at.UTC().Truncate(time.Second), p.advance()
		}
	}
	return nil, p.fail(p.tok.at, `%s is no time; write "2026-01-31T12:00:00Z", "20260131120000Z" or "2026-01-31"`, p.tok)
}

// ---- what is not Apple's

func (p *parser) id(group bool) (node, error) {
	if _, err := p.equals(); err != nil {
		return nil, err
	}
	n, err := strconv.ParseUint(p.tok.text, 10, 32)
	if p.tok.kind != word || err != nil || n == 1<<32-1 {
		return nil, p.unexpected("the number of a user or group")
	}
	return id{group, int(n)}, p.advance()
}

func (p *parser) place(k placeKind) (node, error) {
	at := p.tok.at
	if p.tok.kind == quoted {
		m, err := p.pattern()
		return place{k, m}, err
	}
	m, err := p.match()
	if err != nil {
		return nil, err
	}
	if _, isText := m.with.(string); m.op > ends || m.op == absent || m.op != exists && !isText {
		return nil, p.fail(at, "a %s is compared with = and a text, which may have wildcards", k)
	}
	return place{k, m}, nil
}

func (p *parser) assurance() (node, error) {
	if _, err := p.accept(">="); err != nil {
		return nil, err
	}
	at := p.tok.at
	s, err := p.name("an assurance")
	if err != nil {
		return nil, err
	}
	a, err := assuranceOf(s)
	if err != nil {
		return nil, p.fail(at, "%s", err)
	}
	return assured(a), nil
}

// ---- dictionaries, for lightweight code requirements

func (p *parser) dictionary() (map[string]any, error) {
	m := map[string]any{}
	err := p.list("{", "}", func() error {
		key := p.tok
		if key.kind != quoted {
			return p.unexpected("a key in quotation marks")
		}
		if _, twice := m[key.text]; twice {
			return p.fail(key.at, "the key %s is there twice", key)
		}
		if err := p.advance(); err != nil {
			return err
		}
		if err := p.expect(":"); err != nil {
			return err
		}
		v, err := p.object()
		m[key.text] = v
		return err
	})
	return m, err
}

func (p *parser) list(begin, end string, item func() error) error {
	if err := p.deeper(); err != nil {
		return err
	}
	defer func() { p.depth-- }()
	if err := p.expect(begin); err != nil {
		return err
	}
	for !p.tok.is(end) {
		if err := item(); err != nil {
			return err
		}
		more, err := p.accept(",")
		if err != nil {
			return err
		}
		if !more {
			break
		}
	}
	return p.expect(end)
}

func (p *parser) object() (any, error) {
	t := p.tok
	switch {
	case t.is("{"):
		return p.dictionary()
	case t.is("["):
		list := []any{}
		err := p.list("[", "]", func() error {
			v, err := p.object()
			list = append(list, v)
			return err
		})
		return list, err
	case t.kind == quoted:
		return t.text, p.advance()
	case t.kind == hexData:
		data, err := hex.DecodeString(t.text)
		if err != nil {
			return nil, p.fail(t.at, "%s is not an even number of hexadecimal digits", t)
		}
		return data, p.advance()
	case t.isWord("true"), t.isWord("false"):
		return t.text == "true", p.advance()
	}
	negative, err := p.accept("-")
	if err != nil {
		return nil, err
	}
	sign := ""
	if negative {
		sign = "-"
	}
	n, err := strconv.ParseInt(sign+p.tok.text, 10, 64)
	if p.tok.kind != word || err != nil {
		return nil, p.unexpected("a text in quotation marks, an integer, true, false, H\"...\", a list or a dictionary")
	}
	return n, p.advance()
}
