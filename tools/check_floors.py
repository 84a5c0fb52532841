#!/usr/bin/env python3
"""Checks that every #include "..." under src/ goes to its own folder or to a lower floor.

usage: check_floors.py [REPOSITORY]

The floors are read from docs/floors.txt. Also refused: includes that name no file of ours, that
start with a dot, and circles. Prints one line for each violation; exit status 1 if there is one.
"""
import re
import sys
from pathlib import Path

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*"([^"]+)"', re.MULTILINE)
SUFFIXES = {".h", ".cc", ".cu", ".cuh", ".inc"}


def read_floors(path):
    """Returns ({folder: floor}, {(folder, other)}) of floors.txt."""
    floors, allowed = {}, set()
    for number, line in enumerate(path.read_text().splitlines(), 1):
        words = line.split("#")[0].split()
        if not words:
            continue
        if words[0] == "allow" and len(words) == 3:
            allowed.add((words[1], words[2]))
        elif words[0].isdigit() and len(words) > 1:
            floors.update({folder: int(words[0]) for folder in words[1:]})
        else:
            raise SystemExit(f"{path}:{number}: neither a floor nor 'allow FOLDER OTHER'")
    for folder, other in allowed:
        if floors.get(folder) is None or floors.get(folder) != floors.get(other):
            raise SystemExit(f"{path}: 'allow {folder} {other}' needs two folders of one floor")
    return floors, allowed


def violation(folder, target, floors, allowed):
    """Why a file in `folder` may not include the file `target` (both relative to src), or None."""
    other = target.parts[0]
    if other not in floors:
        return f"the folder {other} has no floor in docs/floors.txt"
    if other == folder or (folder, other) in allowed or floors[other] < floors[folder]:
        return None
    return f"{folder} is on floor {floors[folder]} and {other} on floor {floors[other]}"


def find_circle(graph):
    """A list of files that include each other in a circle, or None."""
    done, path = set(), []

    def visit(file):
        if file in path:
            return path[path.index(file):] + [file]
        if file in done:
            return None
        path.append(file)
        for target in graph.get(file, ()):
            circle = visit(target)
            if circle:
                return circle
        path.pop()
        done.add(file)
        return None

    for file in sorted(graph):
        circle = visit(file)
        if circle:
            return circle
    return None


def check(root):
    floors, allowed = read_floors(root / "docs" / "floors.txt")
    source = root / "src"
    problems, graph = [], {}
    for file in sorted(path for path in source.rglob("*") if path.suffix in SUFFIXES):
        name = file.relative_to(source)
        folder = name.parts[0]
        if folder not in floors:
            problems.append(f"src/{name}: the folder {folder} has no floor in docs/floors.txt")
            continue
        text = file.read_text(errors="replace")
        for match in INCLUDE.finditer(text):
            where = f"src/{name}:{text.count(chr(10), 0, match.start(1)) + 1}"
            target = Path(match.group(1))
            if ".." in target.parts or not (source / target).is_file():
                problems.append(f'{where}: "{target}" names no file from src/ on')
                continue
            graph.setdefault(name, []).append(target)
            reason = violation(folder, target, floors, allowed)
            if reason:
                problems.append(f'{where}: may not include "{target}": {reason}')
    circle = find_circle(graph)
    if circle:
        problems.append("a circle of includes: " + " -> ".join(f"src/{name}" for name in circle))
    return problems, len(graph)


def main(arguments):
    root = Path(arguments[0]) if arguments else Path(__file__).resolve().parent.parent
    problems, files = check(root)
    for problem in problems:
        print(problem)
    print(f"floors: {files} files with includes, {len(problems)} violations")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
