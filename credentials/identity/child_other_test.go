//go:build !linux

package identity

const childRole = "IDENTITY_TEST_CHILD"

func child(string) int { return 0 }
