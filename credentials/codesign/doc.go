// Package codesign says which program a file is, by a signature that lies beside it.
//
// A [Manifest] names a program (identifier, team, entitlements, info) and the
// [Digest] of each file that is this program: the fs-verity SHA-256 digest, which the
// kernel keeps where it can and which is computed otherwise, with the same result. An
// [Envelope] is a manifest with an X.509 chain and a signature, or with neither
// (ad-hoc). Envelopes are never part of the program; they lie in a store, each under
// the digests that its manifest lists, and whoever can write to a store gains nothing.
//
// A [Place] is where a domain keeps its stores, its trust anchors ([Anchor]: who may
// sign, for which teams, with which entitlements), its deny list and its trust
// cache. A [Verifier] reads places and answers for an open file:
//
//	v := codesign.NewVerifier(codesign.System(""), nil)
//	program, err := v.Verify(ctx, exe) // exe: an open /proc/PID/exe, never a path
//
// An error wraps one [Reason] and says in one line what is wrong and what to do.
// The verifier fails closed: a file of the trust store that others than its owner can
// write to counts for nothing, and a deny list that cannot be read denies everything.
//
// What is proved is which program the file is. That a process runs what its exe link
// shows is another question, which package identity answers.
//
// A Verifier may be used by any goroutines. What it returns is shared: nobody may
// change it. Everything read has a limit ([MaxManifest], [MaxEnvelope], [MaxImage] and
// others), and beyond it an error.
package codesign
