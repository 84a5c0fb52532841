#!/usr/bin/python3
"""Llama 4's image tower at its real shape in PyTorch, to compare `corral_model_bench` with
(--benchmark_filter=encode_tile): one tile of 336 x 336 through patch embedding, 34 layers, pixel
shuffle, adapter and projector, random weights.

    OPENBLAS_CORETYPE=Cooperlake /usr/bin/python3 bench/peers/vision_tower_torch.py --precision bf16

Everything that costs time is computed: products, attention, norms, rotation. Biases and the weights
of norms are left out, and rotation is by random angles. Prints one JSON object: seconds of each
tile and GFLOP/s.
"""

import argparse
import json
import os
import time

os.environ.setdefault("OPENBLAS_CORETYPE", "Cooperlake")  # Debian's OpenBLAS takes Zen for Haswell

import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402

D, FFN, HEADS, LAYERS, PATCH, SIDE = 1408, 5632, 16, 34, 14, 24
JOINED, TEXT = 4096, 5120
TOKENS = SIDE * SIDE + 1


def layer_weights(dtype):
    def w(rows, cols):
        return (torch.randn(rows, cols) * cols ** -0.5).to(dtype)

    return {"q": w(D, D), "k": w(D, D), "v": w(D, D), "o": w(D, D), "up": w(FFN, D), "down": w(D, FFN)}


def rotate(x, cos, sin):
    """x [H, T, C], neighbouring pairs."""
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1).flatten(-2)


def block(x, w, cos, sin):
    """x [T, D]. Biases and norm weights are left out: their cost is that of the norms' pass."""
    dtype = w["q"].dtype
    h = F.layer_norm(x.float(), (D,)).to(dtype)
    q, k, v = (F.linear(h, w[n]).float().view(TOKENS, HEADS, -1).transpose(0, 1) for n in "qkv")
    scores = rotate(q, cos, sin) @ rotate(k, cos, sin).transpose(1, 2) * (D // HEADS) ** -0.5
    mixed = (scores.softmax(-1) @ v).transpose(0, 1).reshape(TOKENS, D).to(dtype)
    x = x + F.linear(mixed, w["o"])
    h = F.layer_norm(x.float(), (D,)).to(dtype)
    return x + F.linear(F.gelu(F.linear(h, w["up"])), w["down"])


def operations():
    rows = TOKENS
    body = 2 * rows * (4 * D * D + 2 * D * FFN) + 4 * rows * rows * D
    vectors = (SIDE // 2) ** 2
    return (2 * SIDE * SIDE * D * 3 * PATCH * PATCH + LAYERS * body
            + 2 * vectors * JOINED * (FFN + JOINED + TEXT))


def encode(tile, patch, layers, head, cos, sin):
    dtype = patch.dtype
    patches = F.unfold(tile, PATCH, stride=PATCH)[0].T.to(dtype)
    x = torch.cat((F.linear(patches, patch), torch.zeros(1, D, dtype=dtype)))
    x = F.layer_norm(x.float(), (D,)).to(dtype)
    for w in layers:
        x = block(x, w, cos, sin)
    x = F.layer_norm(x.float(), (D,)).to(dtype)[:-1]
    x = x.view(SIDE // 2, 2, SIDE // 2, 2, D).transpose(1, 2).reshape(-1, 4 * D)
    x = F.gelu(F.linear(F.gelu(F.linear(x, head[0])), head[1]))
    return F.linear(x, head[2])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--precision", choices=["bf16", "f32"], default="bf16")
    parser.add_argument("--tiles", type=int, default=3, help="counted, after one to warm up")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(1)
    dtype = torch.bfloat16 if arguments.precision == "bf16" else torch.float32
    # One layer's weights stand for all 34: they do not fit into any cache either.
    layers = [layer_weights(dtype)] * LAYERS
    patch = (torch.randn(D, 3 * PATCH * PATCH) * 0.04).to(dtype)
    head = [(torch.randn(n, k) * k ** -0.5).to(dtype)
            for n, k in ((JOINED, 4 * D), (JOINED, JOINED), (TEXT, JOINED))]
    angles = torch.randn(TOKENS, D // HEADS // 2)
    tile = torch.randn(1, 3, SIDE * PATCH, SIDE * PATCH)
    seconds = []
    with torch.inference_mode():
        for _ in range(arguments.tiles + 1):
            start = time.perf_counter()
            encode(tile, patch, layers, head, angles.cos(), angles.sin())
            seconds.append(time.perf_counter() - start)
    counted = sorted(seconds[1:])
    median = counted[len(counted) // 2]
    print(json.dumps({"engine": f"torch {torch.__version__}", "precision": arguments.precision,
                      "threads": arguments.threads, "gflops": operations() / median / 1e9,
                      "seconds": [round(s, 4) for s in seconds[1:]]}))


if __name__ == "__main__":
    main()
