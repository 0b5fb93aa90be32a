//go:build unix && !linux

package daemon

import "errors"

func onPressure(func()) (cancel func(), err error) {
	return nil, errors.ErrUnsupported
}
