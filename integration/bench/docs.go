package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// What is generated in performance.md stands between these; the rest is kept.
const (
	begin = "<!-- begin: written by make bench -->"
	end   = "<!-- end: written by make bench -->"
)

// writeDocs rewrites performance.md, its plots and the raw numbers in folder.
func writeDocs(folder string, r *results) error {
	sub := filepath.Join(folder, "performance")
	if err := os.MkdirAll(sub, 0o777); err != nil {
		return err
	}
	page := filepath.Join(folder, "performance.md")
	old, err := os.ReadFile(page)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	raw, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	for _, f := range []struct {
		path string
		text []byte
	}{
		{page, []byte(splice(string(old), "\n![round trips and calls per second](performance/comparison.svg)\n"+tables(r)))},
		{filepath.Join(sub, "comparison.svg"), []byte(plot(r))},
		{filepath.Join(sub, "results.json"), append(raw, '\n')},
	} {
		if err := os.WriteFile(f.path, f.text, 0o666); err != nil {
			return err
		}
		progress("wrote %s", f.path)
	}
	return nil
}

// splice puts text between the marks of page, or makes a page.
func splice(page, text string) string {
	head, rest, ok := strings.Cut(page, begin)
	_, tail, closed := strings.Cut(rest, end)
	if !ok || !closed {
		head, tail = page, "\n"
	}
	if head == "" {
		head = "# Performance\n\n"
	}
	return fmt.Sprintf("%s%s\n%s\n%s%s", head, begin, text, end, tail)
}
