#!/usr/bin/env python3
"""Checks the rules of the tree that a compiler does not know.

usage: check_tree.py [REPOSITORY]

- every operation src/ops/X has tests/ops/X_test.cc and bench/ops/X_bench.cc
- below src/cli nothing prints, ends the process or reads the environment
- vector code (*_isa.cc, *_amx.cc and the headers they include) uses only headers without inline library code
- no postponed work, no trailing whitespace, no paths of somebody's machine
- relative links in Markdown lead to files

Prints one line for each violation and exits with status 1 if there is one. Files and functions that
have grown long are listed as a reminder and do not fail the check.
"""
import os
import re
import subprocess
import sys
from pathlib import Path

LONG_FILE_LINES = 500
LONG_FUNCTION_LINES = 80

CODE_SUFFIXES = {".cc", ".h", ".cu", ".cuh"}
TEXT_SUFFIXES = CODE_SUFFIXES | {
    ".md", ".txt", ".py", ".sh", ".cmake", ".toml", ".json", ".html", ".css", ".js", ".ts"}
TEXT_NAMES = {"Makefile", "run", ".clang-format", ".clang-tidy", ".editorconfig", ".gitignore"}
# Goldens, fuzzing seeds and models are kept byte for byte.
DATA_FOLDERS = (("tests", "data"), ("tests", "fuzz", "corpus"), ("models",))

FORBIDDEN_CALLS = {
    r"\bstd::(?:cout|cerr|clog|cin)\b": "writes to the terminal: take a std::ostream",
    r"\bf?v?f?printf\s*\(|\bf?puts\s*\(|\bputchar\s*\(": "prints: take a std::ostream",
    r"\b(?:_exit|_Exit|quick_exit|exit)\s*\(": "ends the process: throw corral::Error",
    r"\babort\s*\(|\bstd::terminate\s*\(": "ends the process: throw corral::Error",
    r"\b(?:secure_)?getenv\s*\(": "reads the environment: take an option",
}
# Types, and functions that every optimising compiler inlines.
ISA_SYSTEM_HEADERS = {"cstdint", "cstddef", "cstring", "type_traits", "utility"}
ISA_VECTOR_HEADERS = {"simd/vec.h", "simd/tiles.h"}
# Spelled apart, so that this file passes its own check.
POSTPONED = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|X" + r"XX)\b")
MACHINE_PATH = re.compile(r"(?<![\w.])/(?:home|root|work)/\w")
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(?:"([^"]+)"|<([^>]+)>)', re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\(\s*<?([^)\s>]+)>?[^)]*\)")
TOKEN = re.compile(
    r'//[^\n]*|/\*.*?\*/|R"([^(\s]*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|(?<!\w)\'(?:\\.|[^\'\\\n])*\'',
    re.DOTALL)


def list_files(root):
    """The repository's files: what git tracks or would, else all that is there."""
    if (root / ".git").exists():
        command = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others",
                   "--exclude-standard"]
        names = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        found = {Path(name) for name in names.split("\0") if name}
    else:
        found = {Path(folder, name).relative_to(root)
                 for folder, _, names in os.walk(root) for name in names}
    return sorted(name for name in found if (root / name).is_file())


def is_text(name):
    if any(name.parts[:len(folder)] == folder for folder in DATA_FOLDERS):
        return name.suffix in CODE_SUFFIXES | {".md"}
    return name.suffix in TEXT_SUFFIXES or name.name in TEXT_NAMES


def without_comments_and_strings(code):
    """The code with comments and literals blanked out; lines keep their numbers."""
    def blank(match):
        return re.sub(r"[^\n]", " ", match.group(0))
    return TOKEN.sub(blank, code)


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def check_operations(root, files):
    names = {name.parts[2] for name in files if name.parts[:2] == ("src", "ops") and len(name.parts) > 3}
    for name in sorted(names):
        for needed in (f"tests/ops/{name}_test.cc", f"bench/ops/{name}_bench.cc"):
            if not (root / needed).is_file():
                yield f"src/ops/{name}: {needed} is missing"


def check_calls(name, code):
    if name.parts[0] != "src" or name.parts[1] == "cli":
        return
    for pattern, reason in FORBIDDEN_CALLS.items():
        for match in re.finditer(pattern, code):
            yield f"{name}:{line_of(code, match.start())}: {match.group(0).strip()} {reason}"


def check_vector_code(root, name, seen=None):
    """Walks what vector code includes: vec.h, tiles.h, headers of its own folder, kernel headers, no library."""
    seen = set() if seen is None else seen
    text = (root / name).read_text(errors="replace")
    for match in INCLUDE.finditer(text):
        where = f"{name}:{line_of(text, match.start(0))}"
        ours, system = match.groups()
        if system:
            if system not in ISA_SYSTEM_HEADERS:
                yield (f"{where}: vector code includes <{system}>, whose inline functions would be "
                       "compiled for one instruction set and linked for all")
        elif ours in ISA_VECTOR_HEADERS or ours in seen:
            continue
        elif not ours.endswith("_kernel.h") and Path("src", ours).parent != name.parent:
            yield (f'{where}: vector code may include simd/vec.h, simd/tiles.h, *_kernel.h and headers of '
                   f'its own folder, not "{ours}"')
        elif (root / "src" / ours).is_file():
            seen.add(ours)
            yield from check_vector_code(root, Path("src", ours), seen)


def check_lines(name, text):
    for number, line in enumerate(text.splitlines(), 1):
        if line != line.rstrip():
            yield f"{name}:{number}: trailing whitespace"
        if POSTPONED.search(line):
            yield f"{name}:{number}: postponed work belongs in an issue: {POSTPONED.search(line).group(0)}"
        if MACHINE_PATH.search(line):
            yield f"{name}:{number}: names a path of somebody's machine"
    if text and not text.endswith("\n"):
        yield f"{name}: the last line has no end"


def check_links(root, name, text):
    prose = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    prose = re.sub(r"`[^`\n]*`", "", prose)
    for match in LINK.finditer(prose):
        target = match.group(1).split("#")[0]
        if not target or re.match(r"[a-z][a-z0-9+.-]*:", target):
            continue
        path = (root / name.parent / target).resolve()
        if not path.is_relative_to(root) or not path.exists():
            yield f"{name}: the link to {target} leads nowhere"


def functions(code):
    """Yields (first line, last line, head) of function bodies, by counting braces."""
    stack = []  # (is it a function, offset, head)
    head_start = 0
    for match in re.finditer(r"[{};]", code):
        at = match.start()
        if match.group(0) == "{":
            head = " ".join(code[head_start:at].split())
            inside = any(entry[0] for entry in stack)
            names_a_scope = re.search(r"(?:^|\s)(?:namespace|class|struct|enum|union)\s[^()]*$", head)
            stack.append((not inside and "(" in head and not names_a_scope, head_start, head))
        elif match.group(0) == "}" and stack:
            is_function, start, head = stack.pop()
            if is_function:
                first = start + len(code[start:]) - len(code[start:].lstrip())
                yield line_of(code, first), line_of(code, at), head
        head_start = match.end()


def reminders(sources):
    """sources: {name: code without comments}. Returns lines about what has grown long."""
    lines = []
    for name, code in sources.items():
        length = code.count("\n")
        if length > LONG_FILE_LINES:
            lines.append((length, f"{name}: {length} lines"))
        for first, last, head in functions(code):
            if last - first + 1 > LONG_FUNCTION_LINES:
                lines.append((last - first + 1, f"{name}:{first}: {last - first + 1} lines: {head[-60:]}"))
    return [text for _, text in sorted(lines, reverse=True)]


def main(arguments):
    root = (Path(arguments[0]) if arguments else Path(__file__).parent.parent).resolve()
    files = list_files(root)
    problems = list(check_operations(root, files))
    sources = {}
    for name in files:
        if not is_text(name):
            continue
        text = (root / name).read_text(errors="replace")
        problems += check_lines(name, text)
        if name.suffix in CODE_SUFFIXES:
            sources[name] = without_comments_and_strings(text)
            problems += check_calls(name, sources[name])
        if name.name.endswith(("_isa.cc", "_amx.cc")):
            problems += check_vector_code(root, name)
        if name.suffix == ".md":
            problems += check_links(root, name, text)
    for line in reminders(sources):
        print(f"long: {line}")
    for problem in dict.fromkeys(problems):
        print(problem)
    print(f"tree: {len(files)} files, {len(set(problems))} violations")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
