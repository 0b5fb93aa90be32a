#!/usr/bin/env bash
# Runs the Go benchmarks of a base commit and of the work tree in turns and
# compares them: compare.sh BASE. BENCH is a pattern (.), BENCHTIME the time for
# each benchmark (100ms), COUNT the number of runs (6).
set -euo pipefail
base=${1:?usage: compare.sh BASE, a commit to compare with}
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
work=$(mktemp -d)
trap 'git -C "$root" worktree remove --force "$work/base" 2>/dev/null || true; rm -rf "$work"' EXIT
git -C "$root" worktree add --quiet --detach "$work/base" "$base"
ln -s "$root" "$work/head"
mkdir "$work/bin"

# One test binary for each package with benchmarks, of both sides.
names=()
cd "$root"
while read -r dir; do
  name=${dir//\//_}
  (cd "$work/head" && go test -c -o "$work/bin/$name.head" "./$dir")
  if ls "$work/base/$dir"/*_test.go >/dev/null 2>&1; then
    (cd "$work/base" && go test -c -o "$work/bin/$name.base" "./$dir")
  fi
  names+=("$dir")
done < <(grep -rl --include='*_test.go' '^func Benchmark' credentials transport xpc registry cmd | xargs -n 1 dirname | sort -u)

# The sides take turns, so that what else the machine does hits both alike.
for i in $(seq "${COUNT:-6}"); do
  for dir in "${names[@]}"; do
    for side in base head; do
      program=$work/bin/${dir//\//_}.$side
      [ -x "$program" ] || continue
      echo "run $i: $dir, $side" >&2
      (cd "$work/$side/$dir" && "$program" -test.run '^$' -test.bench "${BENCH:-.}" -test.benchtime "${BENCHTIME:-100ms}" -test.benchmem) >>"$work/$side.txt"
    done
  done
done
cd "$here"
go tool benchstat "base=$work/base.txt" "head=$work/head.txt"
