#!/usr/bin/python3
"""A training step of a Llama 4 miniature in PyTorch, to compare `corral train` with.

The same model (scout-mini unless told otherwise), batch and optimizer: embedding, pre-norm blocks
with chunked or global attention, RoPE, QK norm, shared and routed experts (top-1, the sigmoid score
scales the expert's input), untied readout, cross-entropy, AdamW. Written to be quick with what
PyTorch 1.13 has on a CPU: attention is computed per chunk, never as a full square in chunked layers;
routed experts run on their own rows only; the optimizer is torch's multi-tensor AdamW.

    OPENBLAS_CORETYPE=Cooperlake /usr/bin/python3 bench/peers/train_step_torch.py --precision bf16

Prints one JSON object: tokens a second, seconds of each step, loss of the first and last.
"""

import argparse
import json
import os
import time

os.environ.setdefault("OPENBLAS_CORETYPE", "Cooperlake")  # Debian's OpenBLAS takes Zen for Haswell

import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402
from torch import nn  # noqa: E402


class RmsNorm(nn.Module):
    def __init__(self, size, eps=1e-5):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x):
        x = x.float()
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.eps) * self.weight


def unit_rms(x, eps=1e-5):
    x = x.float()
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps)


def rotate(x, cos, sin):
    """x [B, S, H, C], neighbouring pairs; cos and sin [S, 1, C / 2]."""
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1).flatten(-2)


class Attention(nn.Module):
    def __init__(self, o, rope):
        super().__init__()
        self.o, self.rope = o, rope
        self.q = nn.Linear(o.hidden, o.heads * o.head_dim, bias=False)
        self.k = nn.Linear(o.hidden, o.kv_heads * o.head_dim, bias=False)
        self.v = nn.Linear(o.hidden, o.kv_heads * o.head_dim, bias=False)
        self.out = nn.Linear(o.heads * o.head_dim, o.hidden, bias=False)

    def forward(self, x, cos, sin, scale):
        o = self.o
        B, S, _ = x.shape
        q = self.q(x).view(B, S, o.heads, o.head_dim)
        k = self.k(x).view(B, S, o.kv_heads, o.head_dim)
        v = self.v(x).view(B, S, o.kv_heads, o.head_dim)
        span = S
        if self.rope:
            q, k = unit_rms(rotate(q.float(), cos, sin)), unit_rms(rotate(k.float(), cos, sin))
            span = min(o.chunk, S)
        else:
            q = q * scale
        # Chunks become a batch axis, so that no score outside of a chunk is computed.
        n = S // span
        q = q.reshape(B * n, span, o.kv_heads, o.heads // o.kv_heads, o.head_dim)
        k = k.reshape(B * n, span, o.kv_heads, o.head_dim)
        v = v.reshape(B * n, span, o.kv_heads, o.head_dim)
        if o.bf16:
            q, k, v = q.bfloat16(), k.bfloat16(), v.bfloat16()
        q = q.permute(0, 2, 3, 1, 4).reshape(B * n * o.kv_heads, -1, o.head_dim)
        k = k.permute(0, 2, 3, 1).reshape(B * n * o.kv_heads, o.head_dim, span)
        v = v.permute(0, 2, 1, 3).reshape(B * n * o.kv_heads, span, o.head_dim)
        scores = torch.bmm(q, k) * o.head_dim**-0.5
        scores = scores.view(-1, o.heads // o.kv_heads, span, span) + o.masks[span]
        weights = scores.float().softmax(-1).to(v.dtype)
        y = torch.bmm(weights.view(-1, q.shape[1], span), v)
        y = y.view(B * n, o.kv_heads, o.heads // o.kv_heads, span, o.head_dim)
        return self.out(y.permute(0, 3, 1, 2, 4).reshape(B, S, -1).to(x.dtype))


class Experts(nn.Module):
    def __init__(self, o):
        super().__init__()
        self.o = o
        self.router = nn.Linear(o.hidden, o.experts, bias=False)
        self.gate_up = nn.Parameter(torch.randn(o.experts, o.hidden, 2 * o.width) * o.hidden**-0.5)
        self.down = nn.Parameter(torch.randn(o.experts, o.width, o.hidden) * o.width**-0.5)
        self.shared_gate_up = nn.Linear(o.hidden, 2 * o.width, bias=False)
        self.shared_down = nn.Linear(o.width, o.hidden, bias=False)

    def forward(self, x):
        o = self.o
        T = x.shape[0]
        with torch.cpu.amp.autocast(enabled=False):
            logits = self.router(x.float())
        top, expert = logits.max(-1)
        gate, up = self.shared_gate_up(x).chunk(2, -1)
        y = self.shared_down(F.silu(gate) * up)
        order = expert.argsort(stable=True)
        counts = expert.bincount(minlength=o.experts).tolist()
        rows = (x * top.sigmoid().unsqueeze(-1)).index_select(0, order)
        parts = []
        for e, part in enumerate(rows.split(counts)):
            if part.shape[0] == 0:
                continue
            gate, up = (part @ self.gate_up[e]).chunk(2, -1)
            parts.append((F.silu(gate) * up) @ self.down[e])
        inverse = torch.empty_like(order)
        inverse[order] = torch.arange(T)
        routed = torch.cat(parts).index_select(0, inverse)
        # Global-batch balancing: loads are constants, probabilities carry the gradient.
        p = logits.sigmoid()
        p = (p / p.sum(-1, keepdim=True)).mean(0)
        load = torch.tensor(counts, dtype=torch.float32) / T
        return y + routed, o.experts * (load * p).sum()


class Model(nn.Module):
    def __init__(self, o):
        super().__init__()
        self.o = o
        self.embed = nn.Embedding(o.vocab, o.hidden)
        self.blocks = nn.ModuleList()
        for layer in range(o.layers):
            block = nn.Module()
            block.norm1, block.norm2 = RmsNorm(o.hidden), RmsNorm(o.hidden)
            block.attention = Attention(o, rope=(layer + 1) % 4 != 0)
            block.experts = Experts(o)
            self.blocks.append(block)
        self.norm = RmsNorm(o.hidden)
        self.readout = nn.Linear(o.hidden, o.vocab, bias=False)
        nn.init.normal_(self.embed.weight, std=0.2)
        position = torch.arange(o.sequence, dtype=torch.float32)
        frequency = 10000.0 ** (-torch.arange(0, o.head_dim, 2) / o.head_dim)
        angle = torch.outer(position, frequency).unsqueeze(1)
        self.cos, self.sin = angle.cos(), angle.sin()
        self.scale = (1 + 0.1 * torch.log1p(((position + 1) / o.chunk).floor())).view(-1, 1, 1)

    def forward(self, tokens, targets):
        B, S = tokens.shape
        x = self.embed(tokens)
        balance = 0.0
        for block in self.blocks:
            x = x + block.attention(block.norm1(x), self.cos, self.sin, self.scale)
            y, loss = block.experts(block.norm2(x).view(B * S, -1))
            x = x + y.view(B, S, -1)
            balance = balance + loss
        x = self.norm(x).view(B * S, -1)
        nll = F.cross_entropy(self.readout(x).float(), targets.view(-1), reduction="sum")
        return nll, balance


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--precision", choices=["bf16", "f32"], default="bf16")
    parser.add_argument("--hidden", type=int, default=160)
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--experts", type=int, default=16)
    parser.add_argument("--vocab", type=int, default=4096)
    parser.add_argument("--chunk", type=int, default=128)
    parser.add_argument("--sequence", type=int, default=512)
    parser.add_argument("--batch-tokens", type=int, default=16384)
    parser.add_argument("--micro-batch-tokens", type=int, default=8192)
    parser.add_argument("--steps", type=int, default=5, help="counted, after one to warm up")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    o = parser.parse_args()
    o.heads, o.kv_heads, o.head_dim = o.hidden // 32, o.hidden // 160, 32
    o.width = o.hidden * 8 // 5
    o.bf16 = o.precision == "bf16"
    o.masks = {}
    for span in {min(o.chunk, o.sequence), o.sequence}:
        o.masks[span] = torch.full((span, span), float("-inf")).triu(1)
    torch.set_num_threads(o.threads)
    torch.manual_seed(1)

    model = Model(o)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.95), eps=1e-15,
                                  weight_decay=0.1, foreach=True)
    seconds, losses = [], []
    for _ in range(o.steps + 1):
        begin = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        total = 0.0
        for _ in range(o.batch_tokens // o.micro_batch_tokens):
            tokens = torch.randint(o.vocab, (o.micro_batch_tokens // o.sequence, o.sequence + 1))
            with torch.cpu.amp.autocast(enabled=o.bf16, dtype=torch.bfloat16):
                nll, balance = model(tokens[:, :-1], tokens[:, 1:].contiguous())
            loss = nll / o.batch_tokens + 1e-3 * balance * o.micro_batch_tokens / o.batch_tokens
            loss.backward()
            total += float(nll.detach()) / o.batch_tokens
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        seconds.append(time.perf_counter() - begin)
        losses.append(total)
    counted = sorted(seconds[1:])
    print(json.dumps({
        "engine": "torch " + torch.__version__,
        "precision": o.precision,
        "threads": o.threads,
        "parameters": sum(p.numel() for p in model.parameters()),
        "tokens_per_second": o.batch_tokens / counted[len(counted) // 2],
        "seconds": [round(s, 4) for s in seconds],
        "first_loss": losses[0],
        "last_loss": losses[-1],
    }))


if __name__ == "__main__":
    main()
