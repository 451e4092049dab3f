"""Texts and conversations that tokenizers stumble over, the same for the same seed."""

from __future__ import annotations

import random
from typing import Any

PIECES = [
    *(
        "hello",
        "The",
        " world",
        "don't",
        "HE'LL",
        " we've",
        "supercalifragilistic",
        "a",
        " b",
        "\u017f",
        "\u00e9t\u00e9",
        "e\u0301",
    ),
    *("1", "12", "123", "12345678", " 7", "3.14", "\u0661\u0662\u0663", "\u00bd", "\u2167", "1,000,000"),
    *(" ", "  ", "   ", "\t", "\n", "\n\n", "\r\n", " \n ", "\u00a0", "\u3000", "\u2003", "\u200b", "\u0085"),
    *("!", "...", "??!", "$", "+=", "<=>", "^|~", "`", "\u201c", "\u2014", "()", "{};", "//", "@#", "_", "\u3002"),
    *(
        "\u65e5\u672c\u8a9e",
        "\u4e2d\u6587",
        "\ud55c\uad6d\uc5b4",
        "\u0645\u0631\u062d\u0628\u0627",
        "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35",
    ),
    *(
        "\U0001f600",
        "\U0001f468\u200d\U0001f469\u200d\U0001f467",
        "\U0001f1eb\U0001f1f7",
        "\U0001f44d\U0001f3fd",
        "\ufe0f",
    ),
    *("def f(x):\n    return x", "{'k': [1, 22]}", "http://x.y/z?q=1", "<|im_end|>", "<s>", "</s>", "[INST]", "<|x|>"),
    *("\x00", "\x1f", "\x7f", "\ufeff", "\U0010fffd", "\ufffd"),
]


def a_text(rng: random.Random, most: int = 20) -> str:
    return "".join(rng.choice(PIECES) for _ in range(rng.randint(0, most)))


def a_conversation(rng: random.Random, *, system: bool = True, calls: bool = False) -> list[dict[str, Any]]:
    """User and assistant in turn, the user last."""
    found: list[dict[str, Any]] = [{"role": "system", "content": a_text(rng)}] if system and rng.random() < 0.5 else []
    for turn in range(rng.randint(0, 3)):
        found.append({"role": "user", "content": a_text(rng)})
        if calls and rng.random() < 0.5:
            found += _tool_turn(rng, f"call{turn:05}")
        found.append({"role": "assistant", "content": a_text(rng)})
    return [*found, {"role": "user", "content": a_text(rng)}]


def _tool_turn(rng: random.Random, number: str) -> list[dict[str, Any]]:
    function = {"name": "look_up", "arguments": '{"what": "caf\\u00e9 \\"x\\"", "times": 2}'}
    asked = {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": number, "type": "function", "function": function}],
    }
    return [asked, {"role": "tool", "tool_call_id": number, "content": a_text(rng)}]
