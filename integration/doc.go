// Package integration holds the tests of the whole: real processes under a real
// registry, and the rules of the house that no package can test for itself.
//
// A test starts a private xpcd and is itself the client, unless the client has to
// die. Services and other clients are this test binary run again (helper_test.go);
// what they say comes back as lines that the test must expect one by one
// (journal_test.go). Nothing sleeps: every wait is for a line, an event or a reply.
package integration
