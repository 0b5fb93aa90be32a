// Command xpcsign signs programs and says what a signature is worth, with the habits
// of codesign: sign, verify, display, and what Linux needs beside these, install and
// trust.
//
// Signatures, anchors and verification are package codesign's; each command has its
// file here, and exit codes are in exit.go.
package main

import "os"

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }
