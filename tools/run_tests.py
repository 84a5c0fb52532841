#!/usr/bin/env python3
"""Runs ctest on a build folder and closes with the line "N passed, N failed, N skipped".

usage: run_tests.py BUILD_FOLDER [ctest options...]

Passing tests are not listed; failing ones print their output, skipped ones their reason.
Exit status 0 only if at least one test ran and none failed.
"""
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

SLOWEST_SHOWN = 5
SECONDS_BETWEEN_SIGNS_OF_LIFE = 15


def outcome(case):
    """"passed", "failed" or "skipped" of one <testcase> element."""
    status = case.get("status")
    if status == "run":
        return "passed"
    if status == "disabled":
        return "skipped"
    if status == "notrun":
        skipped = case.find("skipped")
        message = "" if skipped is None else skipped.get("message", "")
        # Anything else that did not run (a missing program, say) is a failure.
        return "skipped" if message.startswith("SKIP_") else "failed"
    return "failed"


def skip_reason(case):
    """What GTEST_SKIP or unittest said, else the last line of the output."""
    lines = (case.findtext("system-out") or "").splitlines()
    for i, line in enumerate(lines):
        if line.endswith(": Skipped") and i + 1 < len(lines):
            return lines[i + 1].strip()
    return lines[-1].strip() if lines else "no reason given"


def run_ctest(build, options, results):
    command = ["ctest", "--test-dir", build, "--output-junit", str(results), *options]
    last = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, errors="replace") as ctest:
        for line in ctest.stdout:
            if time.monotonic() - last > SECONDS_BETWEEN_SIGNS_OF_LIFE and " Test " in line:
                last = time.monotonic()
                print("  " + line.split(" Test ")[0].strip(), "tests", flush=True)
    return ctest.returncode


def main(arguments):
    if not arguments or arguments[0].startswith("-"):
        print(__doc__.strip(), file=sys.stderr)
        return 2
    build, options = arguments[0], arguments[1:]
    results = Path(build).resolve() / "test-results.xml"
    results.unlink(missing_ok=True)
    started = time.monotonic()
    status = run_ctest(build, options, results)
    cases = list(ElementTree.parse(results).getroot().iter("testcase")) if results.exists() else []

    count = {"passed": 0, "failed": 0, "skipped": 0}
    reasons = {}
    for case in cases:
        what = outcome(case)
        count[what] += 1
        if what == "failed":
            print(f"\nFAILED {case.get('name')}\n{case.findtext('system-out') or ''}")
        elif what == "skipped":
            reasons.setdefault(skip_reason(case), []).append(case.get("name"))
    for reason, names in sorted(reasons.items()):
        print(f"skipped {', '.join(names)}: {reason}")
    slowest = sorted(cases, key=lambda case: -float(case.get("time") or 0))[:SLOWEST_SHOWN]
    if slowest:
        shown = ", ".join(f"{case.get('name')} {float(case.get('time') or 0):.1f}" for case in slowest)
        print(f"{time.monotonic() - started:.0f} seconds; the slowest: {shown}")
    if not cases:
        print("no test was found", file=sys.stderr)
    elif status != 0 and count["failed"] == 0:
        print(f"ctest itself failed with status {status}", file=sys.stderr)
    print(f"{count['passed']} passed, {count['failed']} failed, {count['skipped']} skipped", flush=True)
    return 0 if cases and status == 0 and count["failed"] == 0 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
