#!/usr/bin/env python3
"""The tables of kernels of docs/performance.md: products with weights in blocks and attention, each
with its time, its share of what the machine can do at most, and a roofline picture of the products.

    bench/kernel_table.py [build/release] [--rounds 3] [--threads N] [--svg roofline.svg]
                          [--peer FILE]

One row of activations is decoding and waits for memory: its ceiling is the read bandwidth. 512 rows
are a prompt and wait for arithmetic: their ceiling is the peak of their products. The best of the
rounds counts. FILE is what `test-backend-ops perf` of llama.cpp printed (bench/peers/README.md): the
products that it has, too, get its time beside ours.
"""

import argparse
import pathlib
import re

import roofline
from rounds import best, names

ROWS = (1, 8, 32, 512)
PRODUCT = re.compile(r"block_product/type:\d+/M:(\d+)/K:(\d+)/N:(\d+)/threads:(\d+)")
PEER = re.compile(r"MUL_MAT\(type_a=(\w+),type_b=f32,m=(\d+),n=(\d+),k=(\d+),bs=\[1,1\],nr=\[1,1\].*?"
                  r"([\d.]+) us/run")
KV_TYPES = ("f32", "bf16", "q8_0", "q4_0")  # in the order of bench/ops/attention_bench.cc
MILLISECONDS = {"ns": 1e-6, "us": 1e-3, "ms": 1, "s": 1e3}


def most_threads(benchmarks):
    """That a product is measured with, of benchmarks by their names."""
    return max((int(match[4]) for match in map(PRODUCT.match, benchmarks) if match), default=0)


def products(runs, threads):
    """By shape (K, N), by type, by rows of activations: the run of the product with this many
    threads."""
    found = {}
    for name, run in runs.items():
        match = PRODUCT.match(name)
        if match and int(match[4]) == threads:
            shape = int(match[2]), int(match[3])
            found.setdefault(shape, {}).setdefault(run["label"], {})[int(match[1])] = run
    return found


def peer_times(text):
    """Milliseconds that llama.cpp says, by (K, N), type, rows."""
    return {((int(k), int(n_out)), dtype.lower(), int(rows)): float(us) / 1e3
            for dtype, n_out, rows, k, us in PEER.findall(text)}


def milliseconds(run):
    return run["real_time"] * MILLISECONDS[run["time_unit"]]


def of_ceiling(rate, share):
    return f"{rate} ({100 * share:.0f} %)" if share > 0 else rate


def cell(run, rows):
    """Time, then what the ceiling is about: bytes for one row, else operations."""
    if rows == 1:
        rate = of_ceiling(f"{run['GB/s']:.1f}", run["of_read"])
    else:
        rate = of_ceiling(f"{run['GOP/s']:,.0f}", run.get("of_peak", 0))
    return f"{milliseconds(run):.3g} ms, {rate}"


def product_table(by_type, shape, peers=None):
    """Lines of Markdown, a row for every type; with peers, how many times as long theirs take."""
    beside = [m for m in ROWS if any((shape, dtype, m) in (peers or {}) for dtype in by_type)]
    heads = ["weights", "1 row: GB/s (of read bandwidth)", "8 rows: GOP/s (of the peak of its products)"]
    heads += [f"{m} rows" for m in ROWS[2:]] + [f"llama.cpp, {m} row{'s' * (m > 1)}" for m in beside]
    lines = ["| " + " | ".join(heads) + " |", "| --- " * len(heads) + "|"]
    for dtype, by_rows in sorted(by_type.items()):
        cells = [cell(by_rows[m], m) if m in by_rows else "-" for m in ROWS]
        for m in beside:
            theirs = peers.get((shape, dtype, m))
            both = theirs is not None and m in by_rows
            cells.append(f"{theirs:.3g} ms ({theirs / milliseconds(by_rows[m]):.2f})" if both else "-")
        lines.append(f"| {dtype} | " + " | ".join(cells) + " |")
    return lines


def attention_name(benchmark):
    """What a benchmark of attention measures, in words."""
    name = benchmark.removesuffix("/real_time")
    name = re.sub(r"/threads:\d+", "", name)
    name = re.sub(r"/type:(\d)", lambda match: "/" + KV_TYPES[int(match[1])], name)
    return name.replace("kv_heads", "kv heads").replace("head_size", "head size").replace("training_", "training ").replace("/", ", ").replace(":", " ")


def attention_table(runs):
    lines = ["| attention | time, ms | GFLOP/s | of the peak | GB/s | of the bandwidth |",
             "| --- | --- | --- | --- | --- | --- |"]
    for name, run in sorted(runs.items()):
        read = f"{run['bytes_per_second'] / 1e9:.1f} | {100 * run['of_read']:.0f} %" if "of_read" in run else "|"
        lines.append(f"| {attention_name(name)} | {milliseconds(run):.3g} | {run['FLOP/s'] / 1e9:.1f} "
                     f"| {100 * run['of_peak']:.0f} % | {read} |")
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
        for dtype, by_rows in sorted(by_type.items())
        for rows, run in sorted(by_rows.items())
    ]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", nargs="?", default="build/release", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int,
                        help="1, 2 or what the program takes by itself (default: the most of these)")
    parser.add_argument("--svg", type=pathlib.Path, help="write the roofline picture here")
    parser.add_argument("--peer", type=pathlib.Path, help="what test-backend-ops perf printed")
    arguments = parser.parse_args()
    binary = arguments.build / "corral_ops_bench"
    threads = arguments.threads or most_threads(names(binary, "block_product/"))
    by_shape = products(best(binary, f"block_product/.*/threads:{threads}/", arguments.rounds), threads)
    if not by_shape:
        parser.error(f"{binary} ran no product with {threads} threads")
    peers = peer_times(arguments.peer.read_text()) if arguments.peer else None
    for (k, n), by_type in sorted(by_shape.items()):
        read, peak = ceilings(by_type)
        print(f"Weights [{n}, {k}], {threads} threads; read bandwidth {read / 1e9:.1f} GB/s, "
              f"highest peak of products {peak / 1e9:,.0f} GOP/s in the same run\n")
        print("\n".join(product_table(by_type, (k, n), peers)) + "\n")
    attention = best(binary, "^(corral::)?(training_forward|training_backward|prefill|decode)/",
                     arguments.rounds)
    print("\n".join(attention_table({name: run for name, run in attention.items()
                                     if f"/threads:{threads}/" in name or "/threads:" not in name})))
    if arguments.svg:
        by_type = by_shape[min(by_shape)]
        arguments.svg.parent.mkdir(parents=True, exist_ok=True)
        arguments.svg.write_text(roofline.draw(points(by_type), *ceilings(by_type)))


if __name__ == "__main__":
    main()
