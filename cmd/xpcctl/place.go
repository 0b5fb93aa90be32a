package main

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"strings"
)

// namedPath is a value of a job file that names a file or a folder, and where it
// stands: line and column from 1, the column in bytes.
type namedPath struct {
	key, text    string
	line, column int
}

func isPathKey(key string) bool {
	switch key {
	case "Program", "RootDirectory", "WorkingDirectory", "StandardOutPath", "StandardErrorPath":
		return true
	}
	return false
}

// namedPaths lists the paths of a job file: those of the keys above, and the
// first of ProgramArguments if there is no Program. What is no job file gives
// what was found before the mistake; package registry tells of that.
func namedPaths(data []byte) []namedPath {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	var all []namedPath
	if bytes.HasPrefix(bytes.TrimLeft(data, " \t\r\n"), []byte("{")) {
		all = pathsInJSON(data)
	} else {
		all = pathsInXML(data)
	}
	var program bool
	for _, p := range all {
		program = program || p.key == "Program"
	}
	var kept []namedPath
	for _, p := range all {
		if p.text != "" && (p.key != "ProgramArguments" || !program) {
			kept = append(kept, p)
		}
	}
	return kept
}

func pathsInJSON(data []byte) (found []namedPath) {
	dec := json.NewDecoder(bytes.NewReader(data))
	if _, err := dec.Token(); err != nil {
		return nil
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return found
		}
		var raw json.RawMessage
		if dec.Decode(&raw) != nil {
			return found
		}
		start := int(dec.InputOffset()) - len(raw)
		name, _ := key.(string)
		if text, shift, ok := pathInJSON(name, raw); ok {
			line, column := lineColumn(data, start+shift)
			found = append(found, namedPath{name, text, line, column})
		}
	}
	return found
}

// pathInJSON is the text of a value, and where in it the text starts.
func pathInJSON(key string, raw json.RawMessage) (text string, shift int, ok bool) {
	if isPathKey(key) {
		return text, 0, json.Unmarshal(raw, &text) == nil
	}
	var list []json.RawMessage
	if key != "ProgramArguments" || json.Unmarshal(raw, &list) != nil || len(list) == 0 {
		return "", 0, false
	}
	return text, bytes.IndexByte(raw, '"'), json.Unmarshal(list[0], &text) == nil
}

func lineColumn(data []byte, offset int) (line, column int) {
	before := data[:max(0, min(offset, len(data)))]
	return bytes.Count(before, []byte("\n")) + 1, len(before) - bytes.LastIndexByte(before, '\n')
}

// pathsInXML walks plist, dict, key and value; array is one deeper.
func pathsInXML(data []byte) (found []namedPath) {
	dec := xml.NewDecoder(bytes.NewReader(data))
	var open []string
	var key string
	var text strings.Builder
	var line, column int
	items := 0
	for {
		beforeLine, beforeColumn := dec.InputPos()
		token, err := dec.Token()
		if err != nil {
			return found
		}
		switch token := token.(type) {
		case xml.StartElement:
			open = append(open, token.Name.Local)
			text.Reset()
			line, column = beforeLine, beforeColumn
		case xml.CharData:
			text.Write(token)
		case xml.EndElement:
			switch where := strings.Join(open, "/"); {
			case where == "plist/dict/key":
				key, items = text.String(), 0
			case where == "plist/dict/string" && isPathKey(key):
				found = append(found, namedPath{key, text.String(), line, column})
			case strings.HasPrefix(where, "plist/dict/array/") && key == "ProgramArguments":
				if items++; items == 1 && where == "plist/dict/array/string" {
					found = append(found, namedPath{key, text.String(), line, column})
				}
			}
			open = open[:len(open)-1]
		}
	}
}
