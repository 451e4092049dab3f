"""Small vocabularies for tokenizers, as GGUF or tokenizer.json: made here, with merges that no pre-tokenizer respects.

A merge across each kind of border (letters and digits, spaces, line ends, punctuation) makes every missed or wrong
split show in the ids.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

from tests.support import micro_gguf as micro

TEXTS = [
    "The quick brown fox jumps over 12345 lazy dogs, don't they?  They'll see: I'M HERE'S.\n\n  Indented\tand done.",
    "def add(a, b):\n    return a + b  # 3.14159\n\n\nclass Foo(Bar):\n\tx = {'k': [1, 22, 333, 4444]}\r\n\r\n",
    "\u65e5\u672c\u8a9e\u306e\u6587\u7ae0\u3001\u4e2d\u6587\u53e5\u5b50\u3002\ud55c\uad6d\uc5b4 1\u5e742\u6708",
    "\u0645\u0631\u062d\u0628\u0627 \u0628\u0627\u0644\u0639\u0627\u0644\u0645 \u0661\u0662\u0663",
    "\U0001f600\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f1eb\U0001f1f7 caf\u00e9 na\u00efve e\u0301 \u2167",
    "$a+b=c<d>e^f|g~h`i` !!! ... ??? --- === \u201cquoted\u201d \u2014 dash; 100% @user #tag a_b_c http://x.y/z?q=1&r=2",
]
SPECIALS = ["<s>", "</s>", "<unk>", "<|im_start|>", "<|im_end|>", "[INST]", "[/INST]", "<|header|>", "<|done|>"]
PRE_TOKENIZERS = ["default", "gpt-2", "smollm", "llama-bpe", "smaug-bpe", "qwen2", "tekken", "gpt-4o", "deepseek-v3"]
"""One of each kind that differs."""
UNMERGED = "supercalifragilistic"
"""A token that no merges lead to."""
SPACE = "\u2581"


@dataclass(frozen=True)
class Vocabulary:
    """Tokens with GGUF's types (1 text, 2 unknown, 3 control, 6 byte); merges for byte-level, scores for the other."""

    model: str
    tokens: list[str]
    kinds: list[int]
    merges: list[str] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)


def byte_level(size: int = 900) -> Vocabulary:
    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    alphabet = micro._byte_alphabet()
    trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, show_progress=False, min_frequency=1)
    pieces = [text[at : at + 40] for text in TEXTS for at in range(0, len(text), 3)]
    learner.train_from_iterator(pieces, trainer)
    found = Learnt.of(learner)
    texts = sorted(found.vocabulary, key=found.vocabulary.__getitem__)
    tokens = [*SPECIALS, *texts, UNMERGED]
    kinds = [3] * len(SPECIALS) + [1] * (len(texts) + 1)
    return Vocabulary("gpt2", tokens, kinds, merges=[" ".join(merge) for merge in found.merges])


def sentence_piece(size: int = 700) -> Vocabulary:
    learner = Tokenizer(models.BPE())
    learner.normalizer = normalizers.Replace(" ", SPACE)
    trainer = trainers.BpeTrainer(vocab_size=size, show_progress=False, min_frequency=1)
    learner.train_from_iterator([text[at : at + 40] for text in TEXTS[:3] for at in range(0, len(text), 3)], trainer)
    found = Learnt.of(learner)
    texts = sorted(found.vocabulary, key=found.vocabulary.__getitem__)
    texts = list(dict.fromkeys([*texts, SPACE]))
    bytes_ = [f"<0x{byte:02X}>" for byte in range(256)]
    tokens = [*SPECIALS, *bytes_, *texts]
    kinds = [2 if token == "<unk>" else 3 for token in SPECIALS] + [6] * 256 + [1] * len(texts)
    return Vocabulary("llama", tokens, kinds, scores=[-float(number) for number in range(len(tokens))])


@dataclass(frozen=True)
class Learnt:
    vocabulary: dict[str, int]
    merges: list[list[str]]

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> Learnt:
        import msgspec

        model = msgspec.json.decode(tokenizer.to_str())["model"]
        return cls(model["vocab"], model["merges"])


def write_gguf(path: Path, vocabulary: Vocabulary, **entries: str | bool | int) -> Path:
    """A model whose weights are all zero; `entries` go under `tokenizer.ggml.`."""
    tensors = [*micro._tensors(len(vocabulary.tokens))]
    numbers: dict[str, str | bool | int] = {"bos_token_id": 0, "eos_token_id": 1, "unknown_token_id": 2}
    metadata = _metadata(vocabulary, numbers | entries)
    with path.open("wb") as file:
        file.write(struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(metadata)) + b"".join(metadata))
        offset = 0
        for name, shape in tensors:
            dimensions = struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, micro.F32, offset)
            file.write(micro._string(name) + dimensions)
            offset += micro._padded(4 * micro._count(shape))
        file.write(bytes(micro._padded(file.tell()) - file.tell() + offset))
    return path


def _metadata(vocabulary: Vocabulary, entries: dict[str, str | bool | int]) -> list[bytes]:
    replaced = ("tokenizer.", "llama.vocab_size")
    kept = [entry for entry in micro._metadata() if not entry[8:].startswith(tuple(map(str.encode, replaced)))]
    found = [_entry("tokenizer.ggml.model", vocabulary.model), _entry("tokenizer.chat_template", micro.TEMPLATE)]
    found += [_entry("llama.vocab_size", len(vocabulary.tokens))]
    found += [_entry(f"tokenizer.ggml.{key}", value) for key, value in entries.items()]
    tokens = [micro._string(token) for token in vocabulary.tokens]
    kinds = [struct.pack("<i", kind) for kind in vocabulary.kinds]
    found.append(micro._array("tokenizer.ggml.tokens", micro.STRING, tokens))
    found.append(micro._array("tokenizer.ggml.token_type", micro.INT32, kinds))
    if vocabulary.merges:
        merges = [micro._string(merge) for merge in vocabulary.merges]
        found.append(micro._array("tokenizer.ggml.merges", micro.STRING, merges))
    if vocabulary.scores:
        scores = [struct.pack("<f", score) for score in vocabulary.scores]
        found.append(micro._array("tokenizer.ggml.scores", micro.FLOAT32, scores))
    return kept + found


def _entry(key: str, value: str | bool | int) -> bytes:
    if isinstance(value, bool):
        return micro._string(key) + struct.pack("<IB", micro.BOOL, value)
    if isinstance(value, int):
        return micro._string(key) + struct.pack("<II", micro.UINT32, value)
    return micro._string(key) + struct.pack("<I", micro.STRING) + micro._string(value)
