#!/usr/bin/env python3
"""Measures what docs/performance.md says about dense products, training steps and the cost of
operations, and prints its tables.

    bench/training_tables.py [build/release] [--rounds 5] [--largest 2048]

Rounds are interleaved in one process, ours and oneDNN's in random turn, and the best of them counts:
what other programs take from the machine can only make a round slower. On one thread it is the
processor time that counts. With two, run it on a quiet machine.
"""

import argparse
import pathlib

from rounds import best

KINDS = [
    ("forward", "kForward"),
    ("input gradient", "kInputGradient"),
    ("weight gradient", "kWeightGradient"),
]
SIZES = [(160, 160), (160, 256), (256, 160), (320, 512), (512, 320)]
SIZES += [(1024, 1024), (2048, 2048), (5120, 5120)]


def product_table(binary, rounds, precision, threads, sizes):
    """Ours and oneDNN's GFLOP/s and share of the measured peak, a row for every size."""
    peer = "bf16" if precision == "kBF16" else "sgemm"
    shapes = "|".join(f"{k}/{n}" for k, n in sizes)
    pattern = f"(training_product<.*{precision}>|peer_{peer}<.*>)/4096/({shapes})/{threads}/"
    clock = "cpu_time" if threads == 1 else "real_time"
    runs = best(binary, pattern, rounds, clock)
    peak = max(run["GFLOP/s"] / run["share"] for run in runs.values() if run.get("share", 0) > 0)

    def cell(prefix, kind, k, n):
        for name, run in runs.items():
            if name.startswith(prefix) and kind in name and f"/4096/{k}/{n}/{threads}/" in name:
                rate = 2 * 4096 * k * n / run[clock]
                return f"{rate:.0f} ({100 * rate / peak:.0f} %)"
        return "-"

    print(f"\n{precision[1:].lower()}, threads: {threads}, 4,096 rows, GFLOP/s (share of {peak:.0f})\n")
    print("| K to N | " + " | ".join(f"{kind}: ours | oneDNN" for kind, _ in KINDS) + " |")
    print("| --- " * 7 + "|")
    for k, n in sizes:
        cells = []
        for _, kind in KINDS:
            cells += [cell("training_product", kind, k, n), cell(f"peer_{peer}", kind, k, n)]
        print(f"| {k:,} to {n:,} | " + " | ".join(cells) + " |")


def step_tables(binary, rounds, peak):
    print("\nA training step, forward and backward, bf16\n")
    print("| model, tokens | tokens/s | GFLOP/s | share of the peak |\n| --- | --- | --- | --- |")
    for name, run in best(binary, "train_step", rounds).items():
        flops = run["FLOP/s"]
        share = f"{100 * flops / peak:.0f} %" if peak > 0 else "-"
        print(f"| {name} | {run['tokens/s']:,.0f} | {flops / 1e9:.0f} | {share} |")
    print("\nA decode step, and the same operations with next to nothing in their kernels\n")
    print("| model/threads | us a step |\n| --- | --- |")
    pattern = "^(mini|hollow_mini|one_scout_layer|hollow_layer)/"
    for name, run in best(binary, pattern, rounds).items():
        print(f"| {name} | {run['real_time'] / 1000:.1f} |")


def peak_of(binary, rounds):
    """bf16 operations a second at most, two threads: what the products state their share of."""
    pattern = "training_product<.*kForward.*kBF16>/4096/160/256/2/"
    for run in best(binary, pattern, rounds).values():
        if run.get("share", 0) > 0:
            return run["GFLOP/s"] * 1e9 / run["share"]
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("build", nargs="?", default="build/release", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--largest", type=int, default=2048, help="largest width of a product")
    arguments = parser.parse_args()
    ops = arguments.build / "corral_ops_bench"
    sizes = [(k, n) for k, n in SIZES if max(k, n) <= arguments.largest]
    for precision in ("kBF16", "kF32"):
        for threads in (1, 2):
            product_table(ops, arguments.rounds, precision, threads, sizes)
    peak = peak_of(ops, 1)
    print(f"\nbf16 peak, two threads: {peak / 1e9:.0f} GFLOP/s")
    step_tables(arguments.build / "corral_model_bench", arguments.rounds, peak)


if __name__ == "__main__":
    main()
