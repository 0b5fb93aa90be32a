package main

import (
	"fmt"
	"math"
	"os"
	"time"

	"howett.net/plist"
)

// readPlist reads a property list, XML or binary, whose top is a dictionary.
func readPlist(path string) (map[string]any, error) {
	if path == "" {
		return nil, nil
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var v any
	if _, err := plist.Unmarshal(b, &v); err != nil {
		return nil, badFile(fmt.Errorf("%s: %w", path, err))
	}
	v, err = plain(v)
	if err != nil {
		return nil, badFile(fmt.Errorf("%s: %w", path, err))
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, badFile(fmt.Errorf("%s: a property list whose top is no dictionary", path))
	}
	return m, nil
}

// plain makes of a value what signatures hold: int64 and whole seconds.
func plain(v any) (_ any, err error) {
	switch v := v.(type) {
	case uint64:
		if v > math.MaxInt64 {
			return nil, fmt.Errorf("integer %d is larger than %d", v, int64(math.MaxInt64))
		}
		return int64(v), nil
	case plist.UID:
		return nil, fmt.Errorf("UID %d: signatures have no values of this type", v)
	case float32:
		return float64(v), nil
	case time.Time:
		return v.UTC().Truncate(time.Second), nil
	case []any:
		for i := range v {
			if v[i], err = plain(v[i]); err != nil {
				return nil, fmt.Errorf("[%d]: %w", i, err)
			}
		}
	case map[string]any:
		for key := range v {
			if v[key], err = plain(v[key]); err != nil {
				return nil, fmt.Errorf("%s: %w", key, err)
			}
		}
	}
	return v, nil
}

// formatPlist writes XML.
func formatPlist(m map[string]any) (string, error) {
	b, err := plist.MarshalIndent(m, plist.XMLFormat, "\t")
	return string(b) + "\n", err
}
