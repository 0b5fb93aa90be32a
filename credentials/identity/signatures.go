package identity

import (
	"context"
	"os"

	"github.com/openxpc/openxpc/credentials/codesign"
)

// Signatures makes a Verifier of v, which may go on being used elsewhere.
func Signatures(v *codesign.Verifier) Verifier { return signatures{v} }

type signatures struct{ v *codesign.Verifier }

func (s signatures) Verify(ctx context.Context, image *os.File) (Program, error) {
	p, err := s.v.Verify(ctx, image)
	if err != nil {
		return Program{}, err
	}
	return Program{Code: p.Code, Marker: p.Manifest.Marker}, nil
}
