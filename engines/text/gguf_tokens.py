"""Builds a tokenizer from what a GGUF file says of it, so that it gives the ids that llama.cpp gives for the file.

Two families are known: byte-level BPE ("gpt2") with the pre-tokenizers below, and SentencePiece's BPE ("llama").
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tokenizers import Tokenizer

UNKNOWN, CONTROL, USER_DEFINED = 2, 3, 4
"""Token types that are found in a text before anything else; the rest come about by merging."""

_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_CONTRACTIONS = r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
_LETTERS = r"[^\r\n\p{L}\p{N}]?\p{L}+"
_REST = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_LLAMA3 = (rf"{_CONTRACTIONS}|{_LETTERS}|\p{{N}}{{1,3}}|{_REST}",)
_QWEN2 = (rf"{_CONTRACTIONS}|{_LETTERS}|\p{{N}}|{_REST}",)
_DIGITS = (r"\p{N}", _GPT2)
_UPPER, _LOWER = r"(?:(?=\p{L})[^a-z])", r"(?:(?=\p{L})[^A-Z])"  # llama.cpp's reading of finer classes
_CASED = rf"[^\r\n\p{{L}}\p{{N}}]?(?:{_UPPER}*{_LOWER}+|{_UPPER}+{_LOWER}*)"
_SLASHED = _REST.replace(r"[\r\n]*|", r"[\r\n/]*|", 1)
_TEKKEN = (rf"{_CASED}|\p{{N}}|{_SLASHED}",)
_GPT4O = (rf"{_CASED}{_CONTRACTIONS}?|\p{{N}}{{1,3}}|{_SLASHED}",)
_MARKED = (
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
    r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_DEEPSEEK3 = (r"\p{N}{1,3}", r"[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+", _MARKED)

SPLITS: Mapping[str, tuple[str, ...]] = {
    "default": (r"[\p{P}\$\+<=>\^~\|]+", _GPT2, r"\p{N}+", r"[0-9][0-9][0-9]"),
    "gpt-2": (_GPT2,),
    "phi-2": (_GPT2,),
    "olmo": (_GPT2,),
    "mpt": (_GPT2,),
    "smollm": _DIGITS,
    "starcoder": _DIGITS,
    "refact": _DIGITS,
    "command-r": _DIGITS,
    "llama-bpe": _LLAMA3,
    "smaug-bpe": _LLAMA3,
    "qwen2": _QWEN2,
    "deepseek-r1-qwen": _QWEN2,
    "stablelm2": _QWEN2,
    "dbrx": _LLAMA3,
    "falcon3": _LLAMA3,
    "pixtral": _LLAMA3,
    "tekken": _TEKKEN,
    "gpt-4o": _GPT4O,
    "deepseek-v3": _DEEPSEEK3,
}
"""By `tokenizer.ggml.pre`: what cuts a text into words, one pattern after the other; merges stay within a word."""

WHOLE_WORDS = {"llama-bpe", "falcon3", "pixtral", "tekken"}
"""Here a word that is itself a token stays whole, whatever the merges say; and a BOS is added unless it is denied."""


def build(metadata: Mapping[str, Any]) -> Tokenizer:
    """The tokenizer, which adds no BOS or EOS by itself. Raises ValueError, or what the library raises."""
    try:
        tokenizer = _by_family(metadata)
    except KeyError as error:
        raise ValueError(f"the file has no {error}") from error
    from tokenizers import AddedToken

    for text, kind in _typed(metadata):
        if kind in (UNKNOWN, CONTROL, USER_DEFINED) and text:
            token = AddedToken(text, normalized=False, special=kind != USER_DEFINED)
            (tokenizer.add_tokens if kind == USER_DEFINED else tokenizer.add_special_tokens)([token])
    return tokenizer


def _by_family(metadata: Mapping[str, Any]) -> Tokenizer:
    family = metadata.get("tokenizer.ggml.model")
    if family == "gpt2":
        return _byte_level(metadata)
    if family == "llama":
        return _sentence_piece(metadata)
    raise ValueError(f"the tokenizer model {family!r} is not supported (gpt2 and llama are)")


def adds_bos(metadata: Mapping[str, Any]) -> bool:
    """Whether llama.cpp puts a BOS in front of a text."""
    usual = metadata.get("tokenizer.ggml.model") == "llama" or metadata.get("tokenizer.ggml.pre") in WHOLE_WORDS
    return bool(metadata.get("tokenizer.ggml.add_bos_token", usual))


def control_tokens(metadata: Mapping[str, Any]) -> frozenset[str]:
    return frozenset(text for text, kind in _typed(metadata) if kind == CONTROL)


def _typed(metadata: Mapping[str, Any]) -> zip[tuple[str, int]]:
    """Each token with its type."""
    return zip(metadata["tokenizer.ggml.tokens"], metadata["tokenizer.ggml.token_type"], strict=True)


def _byte_level(metadata: Mapping[str, Any]) -> Tokenizer:
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers

    kind = metadata.get("tokenizer.ggml.pre", "default")
    if kind not in SPLITS:
        raise ValueError(f"the pre-tokenizer {kind!r} is not supported (these are: {', '.join(sorted(SPLITS))})")
    vocabulary = {text: number for number, text in enumerate(metadata["tokenizer.ggml.tokens"])}
    merges = [_pair(merge) for merge in metadata["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, ignore_merges=kind in WHOLE_WORDS))
    splits = [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in SPLITS[kind]]
    to_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*splits, to_bytes])
    return tokenizer


def _pair(merge: str) -> tuple[str, str]:
    left, _, right = merge.partition(" ")
    return left, right


def _sentence_piece(metadata: Mapping[str, Any]) -> Tokenizer:
    from tokenizers import Tokenizer, models, normalizers

    tokens = metadata["tokenizer.ggml.tokens"]
    vocabulary = {text: number for number, text in enumerate(tokens)}
    unknown = tokens[metadata.get("tokenizer.ggml.unknown_token_id", 0)]
    merges = _merges(vocabulary, metadata["tokenizer.ggml.scores"])
    model = models.BPE(vocab=vocabulary, merges=merges, unk_token=unknown, fuse_unk=True, byte_fallback=True)
    tokenizer = Tokenizer(model)
    space = normalizers.Replace(" ", "▁")
    prefixed = metadata.get("tokenizer.ggml.add_space_prefix", True)
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), space]) if prefixed else space
    return tokenizer


def _merges(vocabulary: Mapping[str, int], scores: list[float]) -> list[tuple[str, str]]:
    """SentencePiece joins the two neighbours whose union scores highest: each way to join two, the best first."""
    found = [
        (-scores[number], text[:at], text[at:])
        for text, number in vocabulary.items()
        for at in range(1, len(text))
        if text[:at] in vocabulary and text[at:] in vocabulary
    ]
    found.sort(key=lambda merge: merge[0])
    return [(left, right) for _, left, right in found]
