package xpc

import (
	"testing"
	"unsafe"
)

// What a message costs is mostly the collector's time, by the byte: a field that
// few messages have belongs into incomingRare.
func TestMessagesAreSmall(t *testing.T) {
	if unsafe.Sizeof(uintptr(0)) < 8 {
		t.Skip("the sizes are those of 64 bit systems")
	}
	for what, size := range map[string]struct{ got, most uintptr }{
		"an entry of a dictionary":               {unsafe.Sizeof(entry{}), 32},
		"a received message without its entries": {unsafe.Sizeof(receivedMessage{}), 96},
	} {
		if size.got > size.most {
			t.Errorf("%s has %d bytes, want at most %d", what, size.got, size.most)
		}
	}
}
