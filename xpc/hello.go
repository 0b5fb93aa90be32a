package xpc

import (
	"fmt"
	"math"

	"github.com/openxpc/openxpc/transport"
)

// Frames of protocol 1 (docs/protocol.md).
const (
	frameHello     = 1
	frameMessage   = 2
	frameReply     = 3
	frameAbandoned = 4
	frameRefused   = 5
	frameChallenge = 7
	frameAnswer    = 8
)

// flagWantsReply marks a message that expects a reply; flagUnfit marks an ABANDONED
// request whose sender does not meet the receiver's requirement.
const (
	flagWantsReply = 1
	flagUnfit      = 1
)

// helloAnswers is the flag of a HELLO whose sender answers challenges.
const helloAnswers = 2

const protocolVersion = 1

// hello is what each side says first.
type hello struct {
	maxMessage     int
	maxDescriptors int
	maxShared      int  // 0: the other side knows neither shared data nor shared memory
	answers        bool // challenges
}

func helloFrame(lim *Limits) *transport.Frame {
	d := NewDictionary()
	d.SetUint64("version", protocolVersion)
	d.SetUint64("flags", helloAnswers)
	d.SetUint64("max-message", uint64(lim.MaxMessageSize))
	d.SetUint64("max-descriptors", uint64(lim.MaxDescriptors))
	d.SetUint64("max-shared", uint64(lim.MaxSharedSize))
	body, _, err := encodeMessage(nil, d, lim)
	if err != nil {
		// Limits so small that not even this fits; the peer assumes the defaults.
		body, _, _ = encodeMessage(nil, NewDictionary(), &defaultLimits)
	}
	return &transport.Frame{Kind: frameHello, Body: body, Identify: true}
}

var defaultLimits = Limits{}.withDefaults()

// unsureLimits are those of what is sent before the other side has said its own;
// see agreeLimits.
var unsureLimits = func() Limits {
	l := defaultLimits
	l.SharedDataFrom = l.MaxMessageSize / 2
	return l
}()

func parseHello(f *transport.Frame) (hello, error) {
	var d Dictionary
	if _, err := decodeMessage(&d, ownedBody(f), f.Files, &defaultLimits); err != nil {
		return hello{}, fmt.Errorf("unreadable HELLO: %w", err)
	}
	if v := d.GetUint64("version"); v < protocolVersion {
		return hello{}, fmt.Errorf("HELLO names protocol %d, this side speaks %d", v, protocolVersion)
	}
	return hello{
		maxMessage:     clamp(d.GetUint64("max-message"), defaultLimits.MaxMessageSize),
		maxDescriptors: clamp(d.GetUint64("max-descriptors"), defaultLimits.MaxDescriptors),
		maxShared:      int(min(d.GetUint64("max-shared"), math.MaxInt)),
		answers:        d.GetUint64("flags")&helloAnswers != 0,
	}, nil
}

// clamp reads a peer's limit; 0 means that it named none.
func clamp(v uint64, none int) int {
	switch {
	case v == 0:
		return none
	case v > mostMessageSize:
		return mostMessageSize
	}
	return int(v)
}

// ownedBody gives a body that nobody else will use again.
func ownedBody(f *transport.Frame) []byte {
	if f.Owned {
		return f.Body
	}
	return append([]byte(nil), f.Body...)
}

func parseRefusal(f *transport.Frame) error {
	var d Dictionary
	if _, err := decodeMessage(&d, ownedBody(f), f.Files, &defaultLimits); err != nil {
		return fmt.Errorf("unreadable refusal: %w", err)
	}
	reason := d.GetString("reason")
	if reason == "" {
		reason = "the other side refused and gave no reason"
	}
	return &because{ErrLaunchFailed, reason}
}

func refusalFrame(text string) *transport.Frame {
	d := NewDictionary()
	d.SetInt64("code", 1)
	d.SetString("reason", text)
	body, _, _ := encodeMessage(nil, d, &defaultLimits)
	return &transport.Frame{Kind: frameRefused, Body: body}
}

// challengeFrame is a CHALLENGE, or the ANSWER to one.
func challengeFrame(kind uint8, nonce []byte, sent uint64) *transport.Frame {
	d := NewDictionary()
	d.SetData("nonce", nonce)
	if kind == frameAnswer {
		d.SetUint64("sent", sent)
	}
	body, _, _ := encodeMessage(nil, d, &defaultLimits)
	return &transport.Frame{Kind: kind, Body: body, Identify: kind == frameAnswer}
}

// maxNonce bounds what a peer can have sent back to it.
const maxNonce = 64

func parseChallenge(f *transport.Frame) (nonce []byte, frames uint64, err error) {
	var d Dictionary
	if _, err := decodeMessage(&d, ownedBody(f), f.Files, &defaultLimits); err != nil {
		return nil, 0, fmt.Errorf("unreadable challenge: %w", err)
	}
	nonce = d.GetData("nonce")
	if len(nonce) == 0 || len(nonce) > maxNonce {
		return nil, 0, fmt.Errorf("a challenge of %d bytes", len(nonce))
	}
	return nonce, d.GetUint64("sent"), nil
}
