#!/usr/bin/env python3
"""Writes test vectors for the block types of GGUF, from the definitions of the formats.

usage: make_block_vectors.py > tests/data/quant/blocks.txt

Every line is a type, the bytes of a few blocks in hexadecimal, and the values they stand for as the
hexadecimal digits of little-endian 32-bit floats. Bytes are random, so every code, scale and sign
occurs; 16-bit scales are finite. Nothing of Corral's is used: the layouts are written down here once
more, value by value, in terms of the bits of the whole block. All products below are exact in double
precision, so rounding the result once to 32 bits is what the definitions ask for.
"""
import random
import struct

BLOCKS = 4
IQ4 = (-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113)
FP4 = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)


def half(block, at):
    return struct.unpack_from("<e", block, at)[0]


def bits(block, first_bit, count):
    """`count` bits of the block as a little-endian number, from bit `first_bit` on."""
    return (int.from_bytes(block, "little") >> first_bit) & ((1 << count) - 1)


def nibble(block, base, e):
    """Four bits of element e of 32: first all low halves of 16 bytes, then all high ones."""
    return bits(block, 8 * (base + e % 16) + 4 * (e // 16), 4)


def q4_0(block, e):
    return half(block, 0) * (nibble(block, 2, e) - 8)


def q4_1(block, e):
    return half(block, 0) * nibble(block, 4, e) + half(block, 2)


def q5_0(block, e):
    return half(block, 0) * (nibble(block, 6, e) + 16 * bits(block, 16 + e, 1) - 16)


def q5_1(block, e):
    return half(block, 0) * (nibble(block, 8, e) + 16 * bits(block, 32 + e, 1)) + half(block, 2)


def q8_0(block, e):
    return half(block, 0) * struct.unpack_from("<b", block, 2 + e)[0]


def iq4_nl(block, e):
    return half(block, 0) * IQ4[nibble(block, 2, e)]


def mxfp4(block, e):
    code = nibble(block, 1, e)
    value = FP4[code % 8] * 2.0 ** (block[0] - 127)
    return -value if code > 8 else value


def two_bits(block, base, e):
    """Two bits of element e of 256: 32 bytes for each half, two bits for each quarter of it."""
    half_, quarter, byte = e // 128, e % 128 // 32, e % 32
    return bits(block, 8 * (base + 32 * half_ + byte) + 2 * quarter, 2)


def q2_k(block, e):
    group = e // 16
    return (half(block, 80) * bits(block, 8 * group, 4) * two_bits(block, 16, e) -
            half(block, 82) * bits(block, 8 * group + 4, 4))


def q3_k(block, e):
    group = e // 16
    low = bits(block, 8 * (96 + group % 8) + 4 * (group // 8), 4)
    high = bits(block, 8 * (104 + group % 4) + 2 * (group // 4), 2)
    third = bits(block, 8 * (e % 32) + e // 32, 1)
    return half(block, 108) * (16 * high + low - 32) * (two_bits(block, 32, e) + 4 * third - 4)


def six_bit_pair(block, group):
    """Scale and offset of a group of Q4_K and Q5_K, packed into bytes 4 to 15."""
    if group < 4:
        return bits(block, 8 * (4 + group), 6), bits(block, 8 * (8 + group), 6)
    scale = bits(block, 8 * (8 + group), 4) + 16 * bits(block, 8 * group + 6, 2)
    offset = bits(block, 8 * (8 + group) + 4, 4) + 16 * bits(block, 8 * (4 + group) + 6, 2)
    return scale, offset


def k_nibble(block, base, e):
    """Four bits of element e of 256: 32 bytes for every 64 elements, first all low halves."""
    return bits(block, 8 * (base + 32 * (e // 64) + e % 32) + 4 * (e % 64 // 32), 4)


def q4_k(block, e):
    scale, offset = six_bit_pair(block, e // 32)
    return half(block, 0) * scale * k_nibble(block, 16, e) - half(block, 2) * offset


def q5_k(block, e):
    scale, offset = six_bit_pair(block, e // 32)
    code = k_nibble(block, 48, e) + 16 * bits(block, 8 * (16 + e % 32) + e // 32, 1)
    return half(block, 0) * scale * code - half(block, 2) * offset


def q6_k(block, e):
    part, r = e // 128, e % 128
    low = bits(block, 8 * (64 * part + r % 64) + 4 * (r // 64), 4)
    high = bits(block, 8 * (128 + 32 * part + r % 32) + 2 * (r // 32), 2)
    scale = struct.unpack_from("<b", block, 192 + e // 16)[0]
    return half(block, 208) * scale * (16 * high + low - 32)


def iq4_xs(block, e):
    group = e // 32
    scale = bits(block, 32 + 4 * group, 4) + 16 * bits(block, 16 + 2 * group, 2) - 32
    return half(block, 0) * scale * IQ4[nibble(block, 8 + 16 * group, e % 32)]


# name: values, bytes, where 16-bit floats stand, value of an element
FORMATS = {
    "q8_0": (32, 34, (0,), q8_0),
    "q4_0": (32, 18, (0,), q4_0),
    "q4_1": (32, 20, (0, 2), q4_1),
    "q5_0": (32, 22, (0,), q5_0),
    "q5_1": (32, 24, (0, 2), q5_1),
    "iq4_nl": (32, 18, (0,), iq4_nl),
    "mxfp4": (32, 17, (), mxfp4),
    "q2_k": (256, 84, (80, 82), q2_k),
    "q3_k": (256, 110, (108,), q3_k),
    "q4_k": (256, 144, (0, 2), q4_k),
    "q5_k": (256, 176, (0, 2), q5_k),
    "q6_k": (256, 210, (208,), q6_k),
    "iq4_xs": (256, 136, (0,), iq4_xs),
}


def random_block(rng, size, halves):
    block = bytearray(rng.randbytes(size))
    for at in halves:
        while block[at + 1] & 0x7C == 0x7C:  # infinity or NaN
            block[at + 1] = rng.randrange(256)
    if not halves:
        block[0] = rng.randrange(0, 250)  # values stay finite
    return bytes(block)


def main():
    rng = random.Random(4)
    for name, (elements, size, halves, value) in FORMATS.items():
        blocks = [random_block(rng, size, halves) for _ in range(BLOCKS)]
        values = [value(block, e) for block in blocks for e in range(elements)]
        packed = struct.pack(f"<{len(values)}f", *values)
        print(name, b"".join(blocks).hex(), packed.hex())


if __name__ == "__main__":
    main()
