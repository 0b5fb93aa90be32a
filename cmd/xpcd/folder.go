package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"

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
		j, err := loadTrusted(filepath.Join(dir, e.Name()))
		if err != nil {
			log.Error("left out", "error", err)
			continue
		}
		jobs = append(jobs, j)
	}
	return jobs, nil
}

// loadTrusted refuses a file that others could change: it names a program that
// is going to be executed.
func loadTrusted(path string) (*registry.Job, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o022 != 0 {
		return nil, fmt.Errorf("%s can be written by others (mode %04o); chmod go-w %s", path, info.Mode().Perm(), path)
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil, errors.New(path + " has no owner")
	}
	if uid := int(st.Uid); uid != 0 && uid != os.Geteuid() {
		return nil, fmt.Errorf("%s belongs to user %d; it must be root's or user %d's", path, uid, os.Geteuid())
	}
	return registry.LoadJob(path)
}
