package codesign

import "testing"

// What a connect costs: the program and its signature are known, or nothing is.
func BenchmarkVerify(b *testing.B) {
	w := newWorld(b)
	content := string(make([]byte, 1<<20))
	w.store(w.sign(manifest(content)))
	f := w.program(content)
	b.Run("warm", func(b *testing.B) {
		v := w.verifier()
		for b.Loop() {
			if _, err := v.Verify(ctx, f); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("cold-1MB", func(b *testing.B) {
		for b.Loop() {
			if _, err := w.verifier().Verify(ctx, f); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkGeneration(b *testing.B) {
	v := newWorld(b).verifier()
	for b.Loop() {
		v.Generation()
	}
}
