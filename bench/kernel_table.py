#!/usr/bin/env python3
"""The table of kernels of docs/performance.md: products with weights in blocks and attention, each
with its share of what the machine can do at most, and a roofline picture of the products.

    bench/kernel_table.py [build/release] [--rounds 3] [--threads 2] [--svg roofline.svg]

One row of activations is decoding and waits for memory: its ceiling is the read bandwidth. 512 rows
are a prompt and wait for arithmetic: their ceiling is the peak of their products. The best of the
rounds counts.
"""

import argparse
import pathlib
import re

import roofline
from rounds import best

ROWS = (1, 8, 32, 512)
PRODUCT = re.compile(r"block_product/type:\d+/M:(\d+)/K:(\d+)/N:(\d+)/threads:(\d+)")


def products(runs, threads):
    """By type, by rows of activations: the run of the product with this many threads."""
    found = {}
    for name, run in runs.items():
        match = PRODUCT.match(name)
        if match and int(match[4]) == threads:
            found.setdefault(run["label"], {})[int(match[1])] = run
    return found


def by_memory(run):
    return f"{run['GB/s']:.1f} ({100 * run['of_read']:.0f} %)"


def by_arithmetic(run):
    share = f" ({100 * run['of_peak']:.0f} %)" if run.get("of_peak", 0) > 0 else ""
    return f"{run['GOP/s']:.0f}{share}"


def product_table(by_type):
    """Lines of Markdown, a row for every type."""
    lines = [
        "| weights | 1 row, GB/s (of read bandwidth) | 8 rows, GOP/s (of the peak of its products) | 32 rows | 512 rows |",
        "| --- | --- | --- | --- | --- |",
    ]
    for dtype, by_rows in by_type.items():
        cells = [by_memory(by_rows[1]) if 1 in by_rows else "-"]
        cells += [by_arithmetic(by_rows[m]) if m in by_rows else "-" for m in ROWS[1:]]
        lines.append(f"| {dtype} | " + " | ".join(cells) + " |")
    return lines


def attention_table(runs):
    lines = ["| attention | time, ms | GFLOP/s or GB/s |", "| --- | --- | --- |"]
    scale = {"ns": 1e-6, "us": 1e-3, "ms": 1, "s": 1e3}
    for name, run in runs.items():
        rate = run.get("FLOP/s", run.get("bytes_per_second", run.get("kv B/s", 0))) / 1e9
        name = name.removesuffix("/real_time").replace("_", " ").replace("/", ", ").replace(":", " ")
        lines.append(f"| {name} | {run['real_time'] * scale[run['time_unit']]:.3f} | {rate:.1f} |")
    return lines


def ceilings(by_type):
    """(bytes a second read at most, operations a second at most), from rates and their shares."""
    read = peak = 0.0
    for by_rows in by_type.values():
        for run in by_rows.values():
            if run.get("of_read", 0) > 0:
                read = max(read, run["GB/s"] * 1e9 / run["of_read"])
            if run.get("of_peak", 0) > 0:
                peak = max(peak, run["GOP/s"] * 1e9 / run["of_peak"])
    return read, peak


def points(by_type):
    """What the roofline shows: (type, rows, operations a byte of weights, operations a second)."""
    return [
        (dtype, rows, run["GOP/s"] / run["GB/s"], run["GOP/s"] * 1e9)
        for dtype, by_rows in by_type.items()
        for rows, run in sorted(by_rows.items())
    ]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", nargs="?", default="build/release", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2, choices=(1, 2))
    parser.add_argument("--svg", type=pathlib.Path, help="write the roofline picture here")
    arguments = parser.parse_args()
    binary = arguments.build / "corral_ops_bench"
    runs = best(binary, f"block_product/.*/threads:{arguments.threads}/", arguments.rounds)
    by_type = products(runs, arguments.threads)
    if not by_type:
        parser.error(f"{binary} ran no product with {arguments.threads} threads")
    read, peak = ceilings(by_type)
    print(f"Weights [8192, 5120], {arguments.threads} threads; read bandwidth {read / 1e9:.1f} GB/s, "
          f"highest peak of products {peak / 1e9:,.0f} GOP/s in the same run\n")
    print("\n".join(product_table(by_type)))
    print("\n" + "\n".join(attention_table(
        best(binary, "^(corral::)?(training_forward|training_backward|decode)/", arguments.rounds))))
    if arguments.svg:
        arguments.svg.parent.mkdir(parents=True, exist_ok=True)
        arguments.svg.write_text(roofline.draw(points(by_type), read, peak))


if __name__ == "__main__":
    main()
