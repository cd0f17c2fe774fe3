#!/usr/bin/env python3
"""Times Kiln and PyTorch in turn on the same workloads, and prints medians and ratios.

    python benches/compare.py PEERS.py [--workloads lenet mlp] [--rounds 5] [--seconds 3] [--threads 2]

PEERS.py prints one line of JSON for `--workload W --peer P --threads N --seconds S`; run this with the Python that has PyTorch. The Kiln side is
`cargo bench --bench train_step`, built before anything is timed. Each round runs every side once, so that a machine whose speed drifts slows all of them.
"""
import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def kiln_binary():
    command = ["cargo", "bench", "--bench", "train_step", "--no-run", "--message-format", "json"]
    lines = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    found = [m["executable"] for m in map(json.loads, lines) if m.get("executable") and m["target"]["name"] == "train_step"]
    return found[-1]


def measure(command, threads):
    environment = dict(os.environ, KILN_THREADS=str(threads))
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    return json.loads(done.stdout.strip().splitlines()[-1])


def processor():
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
        return f"{names[0]}, {len(names)} cores"
    except (OSError, IndexError):
        return platform.processor()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peers")
    parser.add_argument("--workloads", nargs="+", default=["lenet", "mlp"])
    parser.add_argument("--peers-modes", nargs="+", default=["torch"], help="torch, compile")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()

    binary = kiln_binary()
    print(f"{processor()}; {args.threads} threads, {args.rounds} rounds of {args.seconds} s")
    for workload in args.workloads:
        sides = {"kiln": [binary, workload, "--seconds", str(args.seconds)]}
        for mode in args.peers_modes:
            sides[mode] = [sys.executable, args.peers, "--workload", workload, "--peer", mode,
                           "--threads", str(args.threads), "--seconds", str(args.seconds)]
        results = {name: [] for name in sides}
        for _ in range(args.rounds):
            for name, command in sides.items():
                results[name].append(measure(command, args.threads))
        for name, runs in results.items():
            speeds = [run["samples_per_s"] for run in runs]
            pairs = [ours["samples_per_s"] / run["samples_per_s"] for ours, run in zip(results["kiln"], runs)]
            memory = statistics.median(run["peak_rss_mib"] for run in runs)
            print(f"{workload:<8} {name:<8} {statistics.median(speeds):>10.0f} samples/s ({min(speeds):.0f} to {max(speeds):.0f})"
                  f"   kiln/{name} {statistics.median(pairs):.2f}x   peak {memory:.0f} MiB")


if __name__ == "__main__":
    main()
