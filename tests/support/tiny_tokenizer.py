"""A tokenizer of words, with a chat template beside it, for tests of whatever needs the two but not their quality."""

from __future__ import annotations

from pathlib import Path

import msgspec

TEMPLATE = (
    "{% if tools %}{{ tools | tojson }}\n{% endif %}"
    "{% for message in messages %}{{ message.role }} : {{ message.content }}\n{% endfor %}assistant :"
)


def write_tiny_tokenizer(folder: Path) -> Path:
    """`folder`, with both files in it. Each word, and each run of other characters, is one token."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer: dict[str, object] = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": None,
        "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": None,
        "decoder": None,
        "model": {"type": "WordLevel", "vocab": {"[UNK]": 0, "user": 1, "assistant": 2, ":": 3}, "unk_token": "[UNK]"},
    }
    (folder / "tokenizer.json").write_bytes(msgspec.json.encode(tokenizer))
    (folder / "tokenizer_config.json").write_bytes(msgspec.json.encode({"chat_template": TEMPLATE}))
    return folder
