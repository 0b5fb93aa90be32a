// Package value turns XPC objects into text and back, for the command line.
//
// Three forms, each of which keeps the type of every value:
//
//   - arguments, key:type=value, read by [Dictionary] and [Argument];
//   - JSON, read by [FromJSON] and written by [AppendJSON]: plain where JSON has
//     the type, otherwise an object with one key that starts with $;
//   - the readable form, written by [AppendText]: key = type value, a line each.
//
// JSON written here can be read here and gives an equal object; endpoints,
// connections, errors and shared memory are written and cannot be read. A
// descriptor becomes the path that the system knows for it and is opened again.
//
// The functions keep nothing and may be called from any goroutine.
package value
