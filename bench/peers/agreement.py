#!/usr/bin/env python3
"""Compares the most likely next token of Corral and of llama.cpp on the same GGUF files.

    python3 bench/peers/agreement.py --peer build/peers [--make-model make_model.py] [--work DIR]
        [--corral build/release/corral] [--types f32,bf16,...] [--tokens 200] [--json F]
        [--model F.gguf --prompts IDS.json]

Random models of Scout's form come from `corral init`. Models of other sizes and of Maverick's form (128 experts, in
every second layer) need a generator of llama4 GGUF files, `--make-model`, that takes --preset, --layers, --dim,
--experts, --moe-step, --vocab, --type and --seed; files that it writes in other types itself are compared as well
("made"). `--model` compares one file instead, a trained one on real text: lists of token ids, each below the smallest
chunk, in `--prompts`. From each f32 file `corral convert` makes the other types, and from
each of those an f32 file of the same values. Both programs read the same random tokens. A row of the table says at how
many of the positions

- values: both agree on the f32 file of the type's values, where neither rounds anything: what the file holds and how
  the model computes;
- file: both agree on the file itself, where both round activations in ways of their own;
- own: llama.cpp on the file agrees with llama.cpp on the f32 file: what its rounding alone changes. Models of random
  weights are sure of nothing, so that is much;
- runs: llama.cpp on the file agrees with itself under its own default settings (f16 keys and values, flash attention),
  and reading one token at a time: the smaller of the two;
- settled: of the positions where these three runs of llama.cpp agree, Corral has the same.

Exit status 1 unless `values` is 99 % or more and `file` differs at no more than one and a half times as many
positions as `own` or `runs` (two roundings instead of one), and one in a hundred. Contexts stay below the chunk of the
smallest model, as llama.cpp builds 8192 in.
"""
import argparse
import array
import json
import os
import random
import struct
import subprocess
import sys

TYPES = ("f32,bf16,f16,q8_0,q4_0,q4_1,q5_0,q5_1,q2_k,q3_k,q4_k,q5_k,q6_k,iq4_nl,iq4_xs,mxfp4")
SPECIAL = 32  # the last tokens of these vocabularies


def run(command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{done.stderr[-2000:]}")
    return done.stdout


def best_of_corral(corral, model, prompts, work):
    """The most likely next token at every position of every prompt."""
    cases = {"cases": [{"name": f"p{i}", "tokens": ids} for i, ids in enumerate(prompts)]}
    cases_path, out_path = os.path.join(work, "cases.json"), os.path.join(work, "logits.safetensors")
    with open(cases_path, "w") as f:
        json.dump(cases, f)
    run([corral, "debug", "logits", model, "--cases", cases_path, "--out", out_path])
    with open(out_path, "rb") as f:
        data = f.read()
    (size,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8:8 + size])
    best = []
    for i in range(len(prompts)):
        entry = header[f"p{i}.logits"]
        begin, end = entry["data_offsets"]
        values = array.array("f", data[8 + size + begin:8 + size + end])
        width = entry["shape"][1]
        for row in range(0, len(values), width):
            logits = values[row:row + width]
            best.append(logits.index(max(logits)))
    return best


EXACT = ("--kv", "f32", "--fa", "off")
USUAL = ("--kv", "f16", "--fa", "on")
SINGLY = (*EXACT, "--batch", "1")


def best_of_llamacpp(peer, model, prompts, settings=EXACT):
    best = []
    for ids in prompts:
        out = run(["node", os.path.join(peer, "llamacpp_bench.mjs"), "--model", model, "--oracle", "--ids",
                   ",".join(map(str, ids)), "--gen", "1", "--top", "1", "--threads", "1", *settings])
        positions = json.loads(out.strip().splitlines()[-1])["positions"]
        best += [position["top"][0][0] for position in positions[:len(ids)]]
    return best


def agreement(a, b):
    assert len(a) == len(b)
    return sum(x == y for x, y in zip(a, b)) / len(a)


MADE_TYPES = ("BF16", "F16", "Q8_0", "Q4_0", "Q4_K", "Q6_K")


def compare(args, name, dtype, typed, prompts):
    """The row of the table for one file."""
    widened = os.path.join(args.work, "widened.gguf")
    run([args.corral, "convert", typed, widened, "--type", "f32"])
    theirs = best_of_llamacpp(args.peer, typed, prompts)
    theirs_exact = best_of_llamacpp(args.peer, widened, prompts)
    ours = best_of_corral(args.corral, typed, prompts, args.work)
    others = [best_of_llamacpp(args.peer, typed, prompts, settings) for settings in (USUAL, SINGLY)]
    settled = [i for i, best in enumerate(theirs) if all(other[i] == best for other in others)]
    row = {"model": name, "type": dtype,
           "values": agreement(best_of_corral(args.corral, widened, prompts, args.work), theirs_exact),
           "file": agreement(ours, theirs),
           "own": agreement(theirs, theirs_exact),
           "runs": min(agreement(theirs, other) for other in others),
           "settled": agreement([ours[i] for i in settled], [theirs[i] for i in settled])}
    theirs_differ = 1 - min(row["own"], row["runs"])
    row["good"] = row["values"] >= 0.99 and 1 - row["file"] <= 1.5 * theirs_differ + 0.01
    figures = " | ".join(f"{100 * row[key]:.1f}" for key in ("values", "file", "own", "runs", "settled"))
    print(f"| {name} | {dtype} | {figures} |{'' if row['good'] else ' TOO FEW'}", flush=True)
    os.remove(widened)
    os.remove(typed)
    return row


def read_prompts(args, vocabulary):
    if args.prompts:
        with open(args.prompts) as f:
            return json.load(f)
    rng = random.Random(11)
    return [[rng.randrange(vocabulary - SPECIAL) for _ in range(min(100, left))] for left in range(args.tokens, 0, -100)]


def base_models(args):
    """(name, path of the f32 file, vocabulary, what makes the same in another type) of every model."""
    def path(name):
        return os.path.join(args.work, name + ".gguf")

    if args.model:
        run([args.corral, "convert", args.model, path("given"), "--type", "f32"])
        yield os.path.basename(args.model), path("given"), None, None
        return
    run([args.corral, "init", "scout-mini", path("scout-mini"), "--type", "f32", "--vocab-size", "1024", "--seed", "5"])
    yield "scout-mini of corral init", path("scout-mini"), 1024, None
    if not args.make_model:
        return
    shapes = {
        "Scout's form, width 256": ["--preset", "tiny"],
        "Scout's form, width 512": ["--preset", "small"],
        "Maverick's form, width 256": ["--preset", "tiny", "--experts", "128", "--moe-step", "2",
                                       "--rope-scaling", "0", "--expert-ffn", "256"],
        "Maverick's form, width 512": ["--preset", "small", "--experts", "128", "--moe-step", "2",
                                       "--rope-scaling", "0", "--expert-ffn", "256", "--layers", "4"],
    }
    for i, (name, options) in enumerate(shapes.items()):
        def make(file, dtype, options=options):
            run([args.make_model, file, "--type", dtype, "--vocab", "1024", "--seed", "7", *options])

        make(path(f"made{i}"), "F32")
        yield name, path(f"made{i}"), 1024, make


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corral", default="build/release/corral")
    parser.add_argument("--peer", required=True)
    parser.add_argument("--make-model")
    parser.add_argument("--work", default="build/agreement")
    parser.add_argument("--types", default=TYPES)
    parser.add_argument("--tokens", type=int, default=200)
    parser.add_argument("--model", help="compare this file")
    parser.add_argument("--prompts", help="JSON: lists of token ids")
    parser.add_argument("--models", help="only those whose names contain one of these words")
    parser.add_argument("--json")
    args = parser.parse_args()
    if args.model and not args.prompts:
        parser.error("--model needs --prompts")
    os.makedirs(args.work, exist_ok=True)

    rows = []
    for name, base, vocabulary, make in base_models(args):
        if args.models and not any(word in name for word in args.models.split(",")):
            continue
        prompts = read_prompts(args, vocabulary)
        typed = os.path.join(args.work, "typed.gguf")
        for dtype in args.types.split(","):
            run([args.corral, "convert", base, typed, "--type", dtype])
            rows.append(compare(args, name, dtype, typed, prompts))
        for dtype in MADE_TYPES if make else ():
            make(typed, dtype)
            rows.append(compare(args, name, dtype + ", made", typed, prompts))
        os.remove(base)
    if args.json:
        with open(args.json, "w") as f:
            json.dump({"rows": rows}, f, indent=1)
    return 0 if all(row["good"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
