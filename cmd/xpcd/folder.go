package main

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/openxpc/openxpc/registry"
)

// loadFolder reads the job files of a folder, sorted by name. One that is bad,
// or that somebody else could change, is logged and left out; a folder that
// cannot be read is an error.
func loadFolder(dir string, log *slog.Logger) ([]*registry.Job, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("--jobs-dir: %w", err)
	}
	var jobs []*registry.Job
	for _, e := range entries {
		if name := e.Name(); !strings.HasSuffix(name, ".plist") && !strings.HasSuffix(name, ".json") {
			continue
		}
		j, err := registry.LoadTrusted(filepath.Join(dir, e.Name()), os.Geteuid())
		if err != nil {
			log.Error("left out", "error", err)
			continue
		}
		jobs = append(jobs, j)
	}
	return jobs, nil
}
