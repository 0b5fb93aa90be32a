package xpc

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/openxpc/openxpc/credentials"
	"github.com/openxpc/openxpc/credentials/requirement"
)

// EncodeFacts makes a dictionary of what is known of a process: it is how the
// registry answers who asks it (bootstrap.OpAttest). DecodeFacts is its inverse,
// but that supplementary groups are left out: who asks knows those of its peer.
func EncodeFacts(f *requirement.Facts) *Dictionary {
	d := NewDictionary()
	d.SetInt64("pid", int64(f.Credentials.PID))
	d.SetInt64("uid", int64(f.Credentials.UID))
	d.SetInt64("gid", int64(f.Credentials.GID))
	d.SetInt64("assurance", int64(f.Assurance))
	setText(d, "why", f.Why)
	if f.LaunchType != nil {
		d.SetInt64("launch-type", *f.LaunchType)
	}
	for key, v := range factBools(f) {
		if *v != nil {
			d.SetBool(key, **v)
		}
	}
	for key, v := range factTexts(f) {
		setText(d, key, *v)
	}
	if f.Code != nil {
		d.Set("code", encodeCode(f.Code))
	}
	return d
}

func setText(d *Dictionary, key, v string) {
	if v != "" {
		d.SetString(key, v)
	}
}

func factBools(f *requirement.Facts) map[string]**bool {
	return map[string]**bool{"init": &f.IsInitProc, "protected": &f.IsSIPProtected, "system-volume": &f.OnSystemVolume, "host": &f.Host}
}

func factTexts(f *requirement.Facts) map[string]*string {
	return map[string]*string{"unit": &f.Unit, "cgroup": &f.Cgroup, "label": &f.Label, "container": &f.Container}
}

func encodeCode(c *requirement.Code) *Dictionary {
	d := NewDictionary()
	d.SetData("cdhash", c.CDHash[:])
	d.SetString("identifier", c.Identifier)
	setText(d, "team", c.Team)
	d.SetInt64("category", c.Category)
	d.SetInt64("flags", int64(c.Flags))
	d.SetBool("trusted", c.Trusted)
	d.SetBool("platform", c.Platform)
	if c.Info != nil {
		d.Set("info", propertyObject(c.Info))
	}
	if c.Entitlements != nil {
		d.Set("entitlements", propertyObject(c.Entitlements))
	}
	if c.Certificates != nil {
		a := NewArray()
		for i := range c.Certificates {
			a.Append(encodeCertificate(&c.Certificates[i]))
		}
		d.Set("certificates", a)
	}
	return d
}

func encodeCertificate(c *requirement.Certificate) *Dictionary {
	d := NewDictionary()
	d.SetData("sha1", c.SHA1[:])
	subject, extensions, policies := NewDictionary(), NewDictionary(), NewArray()
	for field, values := range c.Subject {
		a := NewArray()
		for _, v := range values {
			a.AppendString(v)
		}
		subject.Set(field, a)
	}
	for oid, v := range c.Extensions {
		extensions.SetData(oid, v)
	}
	for _, p := range c.Policies {
		policies.AppendString(p)
	}
	d.Set("subject", subject)
	d.Set("extensions", extensions)
	d.Set("policies", policies)
	d.SetDate("not-before", nanoseconds(c.NotBefore))
	d.SetDate("not-after", nanoseconds(c.NotAfter))
	d.SetBool("trusted", c.Trusted)
	return d
}

// nanoseconds is t as a date, the first or the last there is if it lies beyond.
func nanoseconds(t time.Time) int64 {
	switch year := t.Year(); {
	case year < 1700:
		return math.MinInt64
	case year > 2200:
		return math.MaxInt64
	}
	return t.UnixNano()
}

// propertyObject makes an object of a property list's value; what is none is Null.
func propertyObject(v any) Object {
	switch v := v.(type) {
	case string:
		return String(v)
	case int64:
		return Int64(v)
	case float64:
		return Double(v)
	case bool:
		return Bool(v)
	case []byte:
		return NewData(v)
	case time.Time:
		return Date(nanoseconds(v))
	case []any:
		a := NewArray()
		for _, e := range v {
			a.Append(propertyObject(e))
		}
		return a
	case map[string]any:
		d := NewDictionary()
		for k, e := range v {
			d.Set(k, propertyObject(e))
		}
		return d
	}
	return Null{}
}

// property is propertyObject's inverse; it fails for what a property list cannot hold.
func property(o Object) (any, error) {
	switch o := o.(type) {
	case String:
		return string(o), nil
	case Int64:
		return int64(o), nil
	case Uint64:
		if int64(o) < 0 {
			return nil, fmt.Errorf("%d is beyond int64", uint64(o))
		}
		return int64(o), nil
	case Double:
		return float64(o), nil
	case Bool:
		return bool(o), nil
	case *Data:
		return o.Bytes(), nil
	case Date:
		return time.Unix(0, int64(o)), nil
	case *Array:
		list := make([]any, 0, o.Count())
		for _, e := range o.All() {
			v, err := property(e)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, nil
	case *Dictionary:
		return properties(o)
	case nil:
		return nil, errors.New("there is no value")
	}
	return nil, fmt.Errorf("a value of type %s", o.Type())
}

func properties(d *Dictionary) (map[string]any, error) {
	m := make(map[string]any, d.Count())
	for k, e := range d.All() {
		v, err := property(e)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", k, err)
		}
		m[k] = v
	}
	return m, nil
}

// DecodeFacts reads what EncodeFacts made. What is missing, or of a wrong type, is
// not known, and without an assurance, or with a code that is none, there are no facts.
func DecodeFacts(d *Dictionary) (*requirement.Facts, error) {
	if d == nil {
		return nil, errors.New("xpc: no facts")
	}
	f := &requirement.Facts{Credentials: credentials.Unknown()}
	for key, v := range map[string]*int{"pid": &f.Credentials.PID, "uid": &f.Credentials.UID, "gid": &f.Credentials.GID} {
		if n, ok := d.Get(key).(Int64); ok {
			*v = int(n)
		}
	}
	a, ok := d.Get("assurance").(Int64)
	if !ok || a < Int64(requirement.CredentialsOnly) || a > Int64(requirement.Enforced) {
		return nil, fmt.Errorf("xpc: facts with an assurance of %v", d.Get("assurance"))
	}
	f.Assurance = requirement.Assurance(a)
	f.Why = d.GetString("why")
	if v, ok := d.Get("launch-type").(Int64); ok {
		n := int64(v)
		f.LaunchType = &n
	}
	for key, v := range factBools(f) {
		if b, ok := d.Get(key).(Bool); ok {
			t := bool(b)
			*v = &t
		}
	}
	for key, v := range factTexts(f) {
		*v = d.GetString(key)
	}
	if code := d.GetDictionary("code"); code != nil {
		var err error
		if f.Code, err = decodeCode(code); err != nil {
			return nil, fmt.Errorf("xpc: facts of code: %w", err)
		}
	}
	return f, nil
}

func decodeCode(d *Dictionary) (*requirement.Code, error) {
	c := &requirement.Code{
		Identifier: d.GetString("identifier"),
		Team:       d.GetString("team"),
		Category:   d.GetInt64("category"),
		Flags:      requirement.CodeFlags(d.GetInt64("flags")),
		Trusted:    d.GetBool("trusted"),
		Platform:   d.GetBool("platform"),
	}
	if copy(c.CDHash[:], d.GetData("cdhash")) != len(c.CDHash) {
		return nil, errors.New("the cdhash is not 20 bytes long")
	}
	var err error
	for key, m := range map[string]*map[string]any{"info": &c.Info, "entitlements": &c.Entitlements} {
		if o := d.GetDictionary(key); o != nil {
			if *m, err = properties(o); err != nil {
				return nil, fmt.Errorf("%s: %w", key, err)
			}
		}
	}
	if a := d.GetArray("certificates"); a != nil {
		c.Certificates = make([]requirement.Certificate, a.Count())
		for i := range c.Certificates {
			if err := decodeCertificate(a.GetDictionary(i), &c.Certificates[i]); err != nil {
				return nil, fmt.Errorf("certificate %d: %w", i, err)
			}
		}
	}
	return c, nil
}

func decodeCertificate(d *Dictionary, c *requirement.Certificate) error {
	if d == nil || copy(c.SHA1[:], d.GetData("sha1")) != len(c.SHA1) {
		return errors.New("no SHA-1 of 20 bytes")
	}
	c.Subject = map[string][]string{}
	if s := d.GetDictionary("subject"); s != nil {
		for field := range s.All() {
			c.Subject[field] = texts(s.GetArray(field))
		}
	}
	c.Extensions = map[string][]byte{}
	if s := d.GetDictionary("extensions"); s != nil {
		for oid := range s.All() {
			c.Extensions[oid] = s.GetData(oid)
		}
	}
	c.Policies = texts(d.GetArray("policies"))
	c.NotBefore = time.Unix(0, d.GetDate("not-before"))
	c.NotAfter = time.Unix(0, d.GetDate("not-after"))
	c.Trusted = d.GetBool("trusted")
	return nil
}

func texts(a *Array) []string {
	var all []string
	for i := range a.Count() {
		all = append(all, a.GetString(i))
	}
	return all
}
