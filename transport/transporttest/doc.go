// Package transporttest holds the tests that every medium of package transport
// must pass: [Run] takes a [Medium] and tries frames, descriptors, hostile bytes,
// waiting, closing and pausing on it.
package transporttest
