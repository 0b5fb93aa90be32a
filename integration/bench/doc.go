// Command bench compares calling another process with OpenXPC to the other ways
// there are, side by side in one run.
//
//	go run .              everything, in about five minutes; rewrites docs/performance.md
//	go run . -quick       less of it in less than one, on standard output only
//	go run . -only xpc,c  some of the systems
//
// Every system under test is a server process and a client process, started by
// this one: the binary executes itself as "bench serve KEY ADDRESS" and "bench
// client KEY ADDRESS", C programs speak the same line protocol. A client takes
// commands on its standard input, "WORK SIZE CALLERS MILLISECONDS", and answers
// each with one line of JSON, an [outcome].
//
// Noise of the machine hits all alike because the systems take turns: each round
// gives every one of them the same short time, and ratios are formed within a
// round. What is told is the median of the rounds and how far they spread.
package main
