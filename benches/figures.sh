#!/usr/bin/env bash
# The figures of the main job, measured on this machine: `benches/figures.sh DIR`, a folder with MNIST's IDX files.
# Size and contents of the shipped binary, memory, equal bits for any thread count and after a resume, accuracy.
set -euo pipefail
cd "$(dirname "$0")/.."
data=$1
cargo build --release -q -p mnist
binary=$PWD/target/release/mnist
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

echo "binary: $(stat -c %s "$binary") bytes"
echo "traces of a compiler in it: $(strings "$binary" | grep -ciE 'cranelift|petgraph' || true)"

train() { "$binary" --data "$data" "$@" 2>/dev/null; }
same() { cmp -s "$1" "$2" && echo "same bytes" || echo "DIFFERENT"; }

for threads in 1 2 3; do
  KILN_THREADS=$threads train --steps 200 --checkpoint "$work/threads$threads" >/dev/null
done
echo "1 and 2 threads after 200 steps: $(same "$work/threads1" "$work/threads2"); 1 and 3: $(same "$work/threads1" "$work/threads3")"

stop=$((RANDOM % 198 + 1))
train --steps $stop --checkpoint "$work/part" >/dev/null
train --steps 200 --resume "$work/part" --checkpoint "$work/resumed" >/dev/null
echo "stopped after $stop steps and resumed to 200: $(same "$work/threads1" "$work/resumed")"

for steps in 100 2000; do
  train --epochs 100 --steps $steps | awk -v steps=$steps '/^total/ {planned=$2} /^resident/ {print steps " steps: planned " planned " KiB, resident peak " $3 " KiB"}'
done

begin=$(date +%s%N)
train --steps 1 >/dev/null
echo "one step, from start to exit with reading the data and a full evaluation: $((($(date +%s%N) - begin) / 1000000)) ms"
train --epochs 12 | tail -n 1
