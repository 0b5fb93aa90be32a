//go:build !linux

package identity

import (
	"context"
	"os"

	"github.com/openxpc/openxpc/credentials"
	"github.com/openxpc/openxpc/credentials/requirement"
)

// Nothing here is reached: no process can be pinned.

type status struct{ tracer, rgid, egid, sgid int }

func openAt(int, string) (*os.File, error) { return nil, credentials.ErrUnsupported }

func (*Identifier) ownNamespace(*credentials.Pin) (bool, error) {
	return false, credentials.ErrUnsupported
}

func (*Identifier) preloaded(*credentials.Pin) error { return credentials.ErrUnsupported }

func (*Identifier) libraries(context.Context, *requirement.Code, *os.File, *credentials.Pin) error {
	return credentials.ErrUnsupported
}

func (*Identifier) status(*credentials.Pin) (*status, error) { return nil, credentials.ErrUnsupported }

func (*Identifier) surroundings(*requirement.Facts, *credentials.Pin, bool, error) {}

func (*Identifier) place(*requirement.Facts, *os.File) {}
