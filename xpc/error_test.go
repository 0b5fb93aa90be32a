package xpc

import (
	"errors"
	"fmt"
	"testing"
)

var errorTexts = map[*Error]string{
	ErrConnectionInterrupted:      "Connection interrupted",
	ErrConnectionInvalid:          "Connection invalid",
	ErrTerminationImminent:        "Termination imminent",
	ErrPeerCodeSigningRequirement: "Peer code signing requirement not met",
}

// T42: singletons of type error with a description.
func TestErrorsDescribeThemselves(t *testing.T) {
	for e, text := range errorTexts {
		if e.Type() != TypeError || e.GetString(ErrorKeyDescription) != text || e.Get(ErrorKeyDescription) != Object(String(text)) {
			t.Errorf("%q must be found under its key (R41, R42)", text)
		}
		if e.Error() != text {
			t.Errorf("as a Go error it is %q", e)
		}
		if e.GetString("other") != "" || e.Get("other") != nil {
			t.Error("there is one key only")
		}
	}
}

func TestErrorsAreMatchedThroughOthers(t *testing.T) {
	err := fmt.Errorf("call failed: %w", ErrConnectionInvalid)
	if !errors.Is(err, ErrConnectionInvalid) || errors.Is(err, ErrConnectionInterrupted) {
		t.Error("errors.Is must find the object")
	}
}

func TestErrorsSurviveTheWireAsThemselves(t *testing.T) {
	for e, text := range errorTexts {
		d, got := NewDictionary(), NewDictionary()
		d.Set("e", e)
		decodeInto(t, got, encodeFrom(t, d))
		if got.Get("e") != Object(e) {
			t.Errorf("%q arrived as %v, want the same pointer", text, got.Get("e"))
		}
	}
}

func TestNilErrorIsHarmless(t *testing.T) {
	var e *Error
	if e.GetString(ErrorKeyDescription) != "" || e.Get(ErrorKeyDescription) != nil || e.Error() == "" {
		t.Error("a nil *Error has no description")
	}
	if errorFromCode(0) != nil {
		t.Error("code 0 stands for no error")
	}
}
