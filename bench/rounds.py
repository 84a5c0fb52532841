"""Runs Google Benchmark binaries: what the table makers of this folder share."""

import json
import subprocess


def best(binary, pattern, rounds, clock="real_time"):
    """The fastest of the rounds of every benchmark whose name matches, by name. Rounds are
    interleaved in random turn: what other programs take can only make a round slower."""
    command = [
        str(binary),
        f"--benchmark_filter={pattern}",
        f"--benchmark_repetitions={rounds}",
        "--benchmark_enable_random_interleaving=true",
        "--benchmark_format=json",
    ]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return fastest(json.loads(out)["benchmarks"], clock)


def names(binary, pattern):
    """Of the benchmarks that match."""
    command = [str(binary), f"--benchmark_filter={pattern}", "--benchmark_list_tests=true"]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [name.replace("corral::", "") for name in out.split()]


def fastest(runs, clock="real_time"):
    """Of runs as Google Benchmark writes them, the fastest of each name."""
    found = {}
    for run in runs:
        if run["run_type"] != "iteration":
            continue
        name = run["run_name"].replace("corral::", "")
        if name not in found or run[clock] < found[name][clock]:
            found[name] = run
    return found
