#!/usr/bin/env python3
"""Runs clang-tidy on sources of a configured build that compiles file by file.

usage: tidy.py [--build FOLDER] [-j N] [--budget SECONDS] [--since REVISION] [FOLDER or FILE...]

Without names every source under src, tests and bench is checked. With --since, what changed since
the branch left that revision comes first. No file is begun once the budget is spent; the files left
out are counted. Exit status 1 if clang-tidy complained.
"""
import argparse
import concurrent.futures
import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# g++ knows options that clang does not, and warnings are for clang-tidy's own list to judge.
DROPPED_OPTIONS = {"-Werror", "-Wno-restrict"}


def read_commands(build):
    """{source: compile command} of our own sources, for one instruction set where there are three."""
    commands = {}
    for entry in json.loads((build / "compile_commands.json").read_text()):
        source = Path(entry["directory"], entry["file"]).resolve()
        if source.is_relative_to(ROOT) and source.relative_to(ROOT).parts[0] in ("src", "tests", "bench"):
            words = [word for word in shlex.split(entry["command"]) if word not in DROPPED_OPTIONS]
            compiler = next(i for i, word in enumerate(words) if Path(word).name != "ccache")
            commands[source] = {**entry, "command": shlex.join(words[compiler:])}
    return commands


def changed_since(revision):
    """Files that differ from where the branch left `revision`; none if there is no such revision."""
    def git(*arguments):
        return subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True,
                              check=False)
    base = git("merge-base", "HEAD", revision)
    if base.returncode != 0:
        return set()
    names = git("diff", "--name-only", base.stdout.strip()).stdout.split("\n")
    names += git("ls-files", "--others", "--exclude-standard").stdout.split("\n")
    return {ROOT / name for name in names if name}


def choose(commands, names, changed):
    """The sources to check: the changed ones first, then those under the names, or all."""
    wanted = [Path(name).resolve() for name in names]
    under = [source for source in sorted(commands)
             if not wanted or any(source.is_relative_to(name) for name in wanted)]
    first = sorted(source for source in commands if source in changed)
    return first + [source for source in under if source not in changed]


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("\n\n", 2)[1].removeprefix("usage: "))
    parser.add_argument("--build", default="build/debug", type=Path)
    parser.add_argument("-j", dest="jobs", type=int, default=os.cpu_count())
    parser.add_argument("--budget", type=float, default=float("inf"))
    parser.add_argument("--since")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()

    commands = read_commands(options.build)
    database = options.build / "tidy"
    database.mkdir(exist_ok=True)
    (database / "compile_commands.json").write_text(json.dumps(list(commands.values())))
    sources = choose(commands, options.names, changed_since(options.since) if options.since else set())
    started = time.monotonic()

    def check(source):
        if time.monotonic() - started > options.budget:
            return source, None, ""
        done = subprocess.run(["clang-tidy", "--quiet", "-p", str(database), str(source)],
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
        return source, done.returncode, done.stdout

    complaints = left_out = 0
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for source, status, output in pool.map(check, sources):
            if status is None:
                left_out += 1
            elif status != 0:
                complaints += 1
                print(f"{source.relative_to(ROOT)}:\n{output}", flush=True)
    print(f"tidy: {len(sources) - left_out} files, {complaints} with complaints, {left_out} left out "
          f"for time, {time.monotonic() - started:.0f} seconds")
    return 1 if complaints or not sources else 0


if __name__ == "__main__":
    sys.exit(main())
