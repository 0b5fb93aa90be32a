package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/openxpc/openxpc/registry"
)

// What a job file says and what lies on this machine are two things: package
// registry judges the first, without looking at the second. These are the
// remarks on the second.

// remarks holds the files that a job file names against the file system, and
// looks who could change it or them. There are none on a file that cannot be read.
func remarks(file string) registry.Findings {
	data, err := os.ReadFile(file)
	if err != nil || len(data) > registry.MaxFile {
		return nil
	}
	var found registry.Findings
	if err := registry.CheckTrust(file, os.Geteuid()); err != nil {
		found = append(found, registry.Finding{Line: 1, Column: 1, Severity: registry.Warning, Text: fmt.Sprintf("your registry refuses the file: %v", err)})
	}
	paths := namedPaths(data)
	root := "" // where the job's other paths are
	for _, p := range paths {
		if p.key == "RootDirectory" {
			root = absolute(file, p.text)
		}
	}
	for _, p := range paths {
		severity, text := registry.Error, ""
		path := filepath.Join(root, absolute(file, p.text))
		switch p.key {
		case "Program", "ProgramArguments":
			severity, text = programRemark(root, path, p)
		case "RootDirectory":
			text = folderRemark(root)
		case "WorkingDirectory":
			text = folderRemark(path)
		default:
			text = folderRemark(filepath.Dir(path))
		}
		if text != "" {
			found = append(found, registry.Finding{Line: p.line, Column: p.column, Severity: severity, Key: p.key, Text: text})
		}
	}
	return found
}

// programRemark: a bare word is looked for in the job's own PATH, which may be
// another than this one, and is below its root folder.
func programRemark(root, path string, p namedPath) (registry.Severity, string) {
	if p.key == "ProgramArguments" && !strings.Contains(p.text, "/") {
		if _, err := exec.LookPath(p.text); err != nil && root == "" {
			return registry.Warning, fmt.Sprintf("no program %q in this PATH; xpcd looks in the job's", p.text)
		}
		return registry.Warning, ""
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return registry.Error, fmt.Sprintf("program %q does not exist", path) + relativeNote(p.text)
	case err != nil:
		return registry.Error, fmt.Sprintf("program %q: %v", path, errors.Unwrap(err))
	case !info.Mode().IsRegular():
		return registry.Error, fmt.Sprintf("program %q is not a file that can be executed", path)
	case info.Mode().Perm()&0o111 == 0:
		return registry.Error, fmt.Sprintf("program %q is not executable (mode %04o): chmod +x %s", path, info.Mode().Perm(), path)
	}
	return registry.Warning, tooOpen(path)
}

func relativeNote(path string) string {
	if filepath.IsAbs(path) {
		return ": correct the path, or build the program"
	}
	return fmt.Sprintf(": correct the path (%q is relative to the job file's folder), or build the program", path)
}

func folderRemark(path string) string {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return fmt.Sprintf("folder %q: %v: make it, or correct the path", path, errors.Unwrap(err))
	case !info.IsDir():
		return fmt.Sprintf("%q is not a folder: correct the path", path)
	}
	return ""
}

// tooOpen says who else can write to a file or exchange it, and what to do.
func tooOpen(path string) string {
	const others = 0o022
	if info, err := os.Stat(path); err == nil && info.Mode().Perm()&others != 0 {
		return fmt.Sprintf("others can write to %s (mode %04o), who can write to it decides what runs: chmod go-w %s", path, info.Mode().Perm(), path)
	}
	dir := filepath.Dir(path)
	if info, err := os.Stat(dir); err == nil && info.Mode().Perm()&others != 0 && info.Mode()&fs.ModeSticky == 0 {
		return fmt.Sprintf("others can exchange %s, because they can write to its folder %s (mode %04o): chmod go-w %s", path, dir, info.Mode().Perm(), dir)
	}
	return ""
}

// absolute reads a path as the registry does: relative to the job file's folder.
func absolute(file, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	abs, err := filepath.Abs(filepath.Join(filepath.Dir(file), path))
	if err != nil {
		return path
	}
	return abs
}

// merged is both kinds of findings in the order of the file.
func merged(a, b registry.Findings) registry.Findings {
	all := slices.Concat(a, b)
	slices.SortStableFunc(all, func(x, y registry.Finding) int {
		if x.Line != y.Line {
			return x.Line - y.Line
		}
		return x.Column - y.Column
	})
	return all
}
