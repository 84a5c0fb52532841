#!/usr/bin/env python3
"""Bundles the chat page of web/ and writes it as one C++ file that holds it compressed.

usage: build_page.py --out FOLDER [--depfile FILE] [--development]

FOLDER/site      the files as a browser gets them
FOLDER/*.gz      the same, compressed; page_files.cc takes them in with .incbin
FOLDER/page_files.cc

Needs esbuild and the libraries that tools/packages.txt names. Nothing is downloaded. The output
depends on the sources alone: the same files give the same bytes.
"""
import argparse
import gzip
import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WEB = ROOT / "web"
NODE_LIBRARIES = Path("/usr/share/nodejs")  # marked, highlight.js
KATEX = Path("/usr/share/javascript/katex")
KATEX_FONTS = Path("/usr/share/fonts/truetype/katex")
PDF = Path("/usr/share/javascript/pdf/build")

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
    ".txt": "text/plain; charset=utf-8",
}
COPIED = ("index.html", "frame.html", "icon.svg", "manifest.webmanifest")

# Whose work is in the bundle, for people who read it there.
NOTICE = """This page contains, besides Corral's own sources (Apache License 2.0):
marked (MIT, Christopher Jeffrey and others), highlight.js (BSD 3-clause, Ivan Sagalaev and others), KaTeX with its fonts (MIT and OFL 1.1,
Khan Academy and others), PDF.js (Apache License 2.0, Mozilla and others).
"""


def esbuild(arguments):
    command = ["esbuild", *arguments, "--log-level=warning", "--target=es2020"]
    environment = {"NODE_PATH": str(NODE_LIBRARIES), "PATH": "/usr/local/bin:/usr/bin:/bin"}
    subprocess.run(command, check=True, env=environment, cwd=WEB)


def bundle(assets, development):
    small = [] if development else ["--minify", "--drop:console"]
    common = ["--bundle", f"--outdir={assets}", "--legal-comments=none", *small]
    outside = [f"--external:{name}" for name in ("fs", "http", "https", "url", "canvas", "zlib")]
    esbuild(["app=src/main.ts", *common, *outside, "--format=esm", "--splitting",
             "--chunk-names=[name]-[hash]",
             f"--alias:katex={KATEX / 'katex.mjs'}", f"--alias:pdfjs={PDF / 'pdf.js'}"])
    esbuild(["theme=src/theme.ts", *common, "--format=iife"])
    esbuild(["app=style/app.css", *common])
    # The worker of PDF.js is a script of its own.
    esbuild([f"pdf.worker={PDF / 'pdf.worker.js'}", *common, *outside, "--format=iife"])


def katex_style(assets, scratch, development):
    """KaTeX's style sheet with one form of each font: every browser that runs the page knows it."""
    css = (KATEX / "katex.css").read_text()
    css = re.sub(r",\s*url\([^)]*\.(?:woff|ttf)\)\s*format\('[a-z]+'\)", "", css)
    css = css.replace("url(fonts/", f"url({KATEX_FONTS}/")
    source = scratch / "katex.css"
    source.write_text(css)
    esbuild([str(source), "--bundle", f"--outdir={assets}", "--loader:.woff2=file",
             "--asset-names=fonts/[name]", *([] if development else ["--minify"])])


def page_files(out, site):
    """One row of the table for each file."""
    rows, assembly = [], []
    for index, file in enumerate(sorted(path for path in site.rglob("*") if path.is_file())):
        content = file.read_bytes()
        packed = gzip.compress(content, compresslevel=9, mtime=0)
        name = file.relative_to(site).as_posix()
        path = {"index.html": "/", "frame.html": "/frame"}.get(name, f"/{name}")
        packed_file = out / f"page_{index}.gz"
        packed_file.write_bytes(packed)
        digest = hashlib.sha256(content).hexdigest()[:16]
        assembly.append(f'    "corral_page_{index}: .incbin \\"{packed_file}\\"\\n"')
        rows.append((path, TYPES[file.suffix], digest, index, len(packed), len(content)))
    return rows, assembly


def write_source(out, rows, assembly):
    lines = ["// Written by tools/build_page.py.", '#include "serve/page_files.h"', "",
             "// NOLINTBEGIN", '__asm__(', '    ".section .rodata\\n"', *assembly,
             '    ".previous\\n");', ""]
    lines += [f"extern \"C\" const char corral_page_{index}[];" for _, _, _, index, _, _ in rows]
    lines += ["", "namespace corral::serve {", "", "std::span<const PageFile> page_files() {",
              "  static const PageFile files[] = {"]
    lines += [f'      {{"{path}", "{kind}", "\\"{digest}\\"", {{corral_page_{index}, {packed}}}, {size}}},'
              for path, kind, digest, index, packed, size in rows]
    lines += ["  };", "  return files;", "}", "", "}  // namespace corral::serve", "// NOLINTEND"]
    (out / "page_files.cc").write_text("\n".join(lines) + "\n")


def write_depfile(path, out):
    sources = sorted(file for file in WEB.rglob("*") if file.is_file())
    names = " ".join(str(file).replace(" ", "\\ ") for file in [*sources, Path(__file__).resolve()])
    path.write_text(f"{out / 'page_files.cc'}: {names}\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--depfile", type=Path)
    parser.add_argument("--development", action="store_true", help="readable scripts")
    options = parser.parse_args()
    out = options.out.resolve()
    shutil.rmtree(out, ignore_errors=True)
    site, scratch = out / "site", out / "scratch"
    scratch.mkdir(parents=True)
    (site / "assets").mkdir(parents=True)
    bundle(site / "assets", options.development)
    katex_style(site / "assets", scratch, options.development)
    for name in COPIED:
        folder = site if name.endswith(".html") else site / "assets"
        shutil.copyfile(WEB / name, folder / name)
    (site / "assets" / "notice.txt").write_text(NOTICE)
    rows, assembly = page_files(out, site)
    write_source(out, rows, assembly)
    if options.depfile:
        write_depfile(options.depfile, out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
