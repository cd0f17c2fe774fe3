#!/usr/bin/env python3
"""Times Kiln and its peers in turn on the same workloads, and prints medians and ratios.

    python benches/compare.py PEERS.py [--jax PEERS_JAX.py] [--workloads lenet mlp ...] [--rounds 3] [--seconds 3] [--threads 2] [--modes torch torch-cl compile] [--amp]

PEERS.py is the PyTorch side and PEERS_JAX.py the JAX side: each prints one line of JSON for `--workload W --threads N --seconds S` (and, of
PyTorch, `--peer torch|compile`, `--channels-last` and `--amp`, which is bf16 on both sides). Run this with a Python that has them. The Kiln side is `kiln bench`, built before anything is
timed. Each round runs every side once, so that a machine whose speed drifts slows all of them; the ratio is the median over rounds.
"""
import argparse
import json
import pathlib
import platform
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
WORKLOADS = ["mlp", "lenet", "resnet18", "resnet50", "unet", "gpt", "resnet50_infer"]
MODES = {"torch": ["--peer", "torch"], "torch-cl": ["--peer", "torch", "--channels-last"], "compile": ["--peer", "compile"]}


def kiln_binary():
    subprocess.run(["cargo", "build", "--release", "--bin", "kiln", "--quiet"], cwd=ROOT, check=True)
    return str(ROOT / "target" / "release" / "kiln")


def measure(command):
    """The last line, of JSON; where there is none, what the side says instead."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    lines = done.stdout.strip().splitlines()
    if done.returncode == 0 and lines:
        return json.loads(lines[-1])
    said = done.stderr.strip().splitlines()
    return {"failed": said[-1] if said else f"exit status {done.returncode}"}


def processor():
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
        features = [line for line in lines if line.startswith("flags")]
        return f"{names[0]}, {len(names)} cores{', AVX-512' if features and 'avx512f' in features[0] else ''}"
    except (OSError, IndexError):
        return platform.processor()


def sides(args, workload, kiln):
    common = ["--threads", str(args.threads), "--seconds", str(args.seconds)] + (["--batch", str(args.batch)] if args.batch else [])
    common += ["--amp"] if args.amp else []
    found = {"kiln": [kiln, "bench", workload, "--json", *common]}
    for mode in args.modes:
        found[mode] = [sys.executable, args.peers, "--workload", workload, *MODES[mode], *common]
    if args.jax:
        # It takes two processors and the workload's own batch, whatever is asked for: another setting would not be a comparison.
        if args.threads != 2 or args.batch or args.amp:
            sys.exit("the JAX side runs on 2 threads in f32 with its own batch: leave out --jax, or --threads, --batch and --amp")
        found["jax"] = [sys.executable, args.jax, "--workload", workload, "--seconds", str(args.seconds)]
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peers")
    parser.add_argument("--jax")
    parser.add_argument("--workloads", nargs="+", choices=WORKLOADS, default=WORKLOADS)
    parser.add_argument("--modes", nargs="+", choices=list(MODES), default=["torch"])
    parser.add_argument("--batch", type=int)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--amp", action="store_true")
    args = parser.parse_args()

    kiln = kiln_binary()
    print(f"{processor()}; {args.threads} threads, {args.rounds} rounds of {args.seconds} s{', bf16' if args.amp else ''}", flush=True)
    for workload in args.workloads:
        commands = sides(args, workload, kiln)
        results = {name: [] for name in commands}
        for _ in range(args.rounds):
            for name, command in commands.items():
                results[name].append(measure(command))
        for name, runs in results.items():
            failure = next((run["failed"] for run in runs + results["kiln"] if "failed" in run), None)
            if failure:
                print(f"{workload:<15} {name:<9} does not run: {failure}", flush=True)
                continue
            speeds = [run["samples_per_s"] for run in runs]
            ratio = statistics.median(ours["samples_per_s"] / run["samples_per_s"] for ours, run in zip(results["kiln"], runs))
            memory = statistics.median(run["peak_rss_mib"] for run in runs)
            print(f"{workload:<15} {name:<9} {statistics.median(speeds):>10.1f} samples/s ({min(speeds):.1f} to {max(speeds):.1f})"
                  f"   kiln/{name} {ratio:.2f}x   peak {memory:.0f} MiB", flush=True)


if __name__ == "__main__":
    main()
