package xpc

import (
	"math"
	"testing"
	"time"
)

func TestZeroLimitsAreTheDefaults(t *testing.T) {
	want := Limits{MaxMessageSize: 64 << 20, MaxDepth: 64, MaxElements: 262144, MaxDescriptors: 253,
		SharedDataFrom: 128 << 10, MaxSharedSize: min(4<<30, math.MaxInt/8), MaxPendingReplies: 65536, MaxQueuedBytes: 128 << 20, MaxReceivedBytes: 16 << 20,
		MaxUnreadReplies: 1024, MaxUnreadReplyBytes: 1 << 20, UnreadReplyPatience: 30 * time.Second, MaxReceivedMessages: 1024, MaxSilentPeers: math.MaxInt32}
	if got := (Limits{}).withDefaults(); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := (Limits{MaxDepth: -1, MaxMessageSize: -1}).withDefaults(); got != want {
		t.Errorf("below zero means the default too, got %+v", got)
	}
	if got := want.withDefaults(); got != want {
		t.Errorf("filling in twice changed %+v", got)
	}
}

func TestLimitsAreCutToWhatCanBe(t *testing.T) {
	got := Limits{MaxMessageSize: math.MaxInt, MaxDepth: math.MaxInt, MaxDescriptors: 1000}.withDefaults()
	if got.MaxMessageSize != math.MaxInt32 || got.MaxDepth != 4096 || got.MaxDescriptors != 253 {
		t.Errorf("a frame, a stack and the kernel end somewhere: %+v", got)
	}
}

func TestOneLargestMessageFitsTheQueue(t *testing.T) {
	if l := (Limits{}).withDefaults(); l.MaxQueuedBytes < l.MaxMessageSize {
		t.Error("the largest message could never be sent")
	}
}
