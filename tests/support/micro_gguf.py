"""Writes a GGUF of half a megabyte: a llama of random weights, for load, cancel and restart, never for its words."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from pathlib import Path

WIDTH, LAYERS, HEADS, FEED_FORWARD, CONTEXT = 64, 2, 2, 192, 65_536
SPECIALS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
MERGES = ("h e", "l l", "he ll", "hell o")
TEMPLATE = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
ALIGNMENT = 32
UINT32, INT32, FLOAT32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9
F32 = 0
Tensor = tuple[str, tuple[int, ...]]


def write_micro_gguf(path: Path, *, seed: int = 1) -> Path:
    """The same bytes for the same seed."""
    tensors = [*_tensors(len(_tokens()))]
    metadata = [*_metadata()]
    rng = random.Random(seed)
    with path.open("wb") as file:
        file.write(struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(metadata)))
        file.write(b"".join(metadata))
        offset = 0
        for name, shape in tensors:
            file.write(_string(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, F32, offset))
            offset += _padded(4 * _count(shape))
        file.write(bytes(_padded(file.tell()) - file.tell()))
        for name, shape in tensors:
            count = _count(shape)
            values = [1.0] * count if "norm" in name else [rng.gauss(0, 0.05) for _ in range(count)]
            file.write(struct.pack(f"<{count}f", *values).ljust(_padded(4 * count), b"\0"))
    return path


def _tokens() -> list[str]:
    """The specials, the 256 bytes in GPT-2's printable spelling, the merged words, and filling up to 512."""
    tokens = [*SPECIALS, *_byte_alphabet(), *(merge.replace(" ", "") for merge in MERGES)]
    return tokens + [f"<word{n}>" for n in range(512 - len(tokens))]


def _byte_alphabet() -> list[str]:
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = iter(range(256, 512))
    return [chr(byte if byte in kept else next(others)) for byte in range(256)]


def _tensors(vocabulary: int) -> Iterator[Tensor]:
    yield "token_embd.weight", (WIDTH, vocabulary)
    yield "output_norm.weight", (WIDTH,)
    for layer in range(LAYERS):
        block = f"blk.{layer}"
        yield f"{block}.attn_norm.weight", (WIDTH,)
        yield f"{block}.ffn_norm.weight", (WIDTH,)
        for part in ("attn_q", "attn_k", "attn_v", "attn_output"):
            yield f"{block}.{part}.weight", (WIDTH, WIDTH)
        yield f"{block}.ffn_gate.weight", (WIDTH, FEED_FORWARD)
        yield f"{block}.ffn_up.weight", (WIDTH, FEED_FORWARD)
        yield f"{block}.ffn_down.weight", (FEED_FORWARD, WIDTH)


def _metadata() -> Iterator[bytes]:
    tokens = _tokens()
    for key, text in {
        "general.architecture": "llama",
        "general.name": "micro",
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "smollm",
        "tokenizer.chat_template": TEMPLATE,
    }.items():
        yield _string(key) + struct.pack("<I", STRING) + _string(text)
    for key, number in {
        "llama.context_length": CONTEXT,
        "llama.embedding_length": WIDTH,
        "llama.block_count": LAYERS,
        "llama.feed_forward_length": FEED_FORWARD,
        "llama.attention.head_count": HEADS,
        "llama.attention.head_count_kv": HEADS,
        "llama.rope.dimension_count": WIDTH // HEADS,
        "llama.vocab_size": len(tokens),
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
    }.items():
        yield _string(key) + struct.pack("<II", UINT32, number)
    yield _string("llama.attention.layer_norm_rms_epsilon") + struct.pack("<If", FLOAT32, 1e-5)
    yield _string("tokenizer.ggml.add_bos_token") + struct.pack("<IB", BOOL, 0)
    yield _array("tokenizer.ggml.tokens", STRING, [_string(token) for token in tokens])
    yield _array("tokenizer.ggml.merges", STRING, [_string(merge) for merge in MERGES])
    kinds = [struct.pack("<i", 3 if token in SPECIALS else 1) for token in tokens]  # control or normal
    yield _array("tokenizer.ggml.token_type", INT32, kinds)


def _string(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _array(key: str, kind: int, items: list[bytes]) -> bytes:
    return _string(key) + struct.pack("<IIQ", ARRAY, kind, len(items)) + b"".join(items)


def _count(shape: tuple[int, ...]) -> int:
    total = 1
    for size in shape:
        total *= size
    return total


def _padded(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
