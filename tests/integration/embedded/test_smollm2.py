"""The real model: it knows Paris, and its prompts are counted exactly."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engines.embedded.server import ChildServer
from tests.support.embedded import a_call, answer, running

WORDS = [
    "hello", "Größe", "naïve", "中文字符", "日本語", "🙂🙂", "def f(x):\n    return x", "  spaces   ", "\n\n", "café",
    "العربية", "1234567890", "a" * 50, "<|im_start|>", "\t", "e\u0301", "0.1+0.2",
]  # fmt: skip


async def test_it_knows_the_capital_of_france(smollm2: Path) -> None:
    async with running(cache=smollm2) as engine:
        found = await answer(engine, a_call(temperature=0, max_tokens=30))
        assert "Paris" in found["choices"][0]["message"]["content"]


def conversations(count: int) -> list[list[dict[str, Any]]]:
    rng = random.Random(5)
    found = []
    for _ in range(count):
        messages: list[dict[str, Any]] = []
        if rng.random() < 0.6:
            messages.append({"role": "system", "content": rng.choice(["", "Be brief.", "你好"])})
        for _turn in range(rng.randint(1, 3)):
            messages.append({"role": "user", "content": " ".join(rng.choices(WORDS, k=rng.randint(0, 5)))})
            if rng.random() < 0.5:
                messages.append({"role": "assistant", "content": rng.choice(WORDS)})
        if rng.random() < 0.2:
            messages[-1]["content"] = [{"type": "text", "text": "x y"}, {"type": "text", "text": "zü"}]
        found.append(messages)
    return found


async def test_our_count_of_a_prompt_is_the_models_own(smollm2: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """P37: the ids that are sent are counted, template included, for ten conversations and five bare texts."""
    counted: list[int] = []
    count = ChildServer.count

    async def noting(server: ChildServer, fields: dict[str, msgspec.Raw]) -> int:
        counted.append(await count(server, fields))
        return counted[-1]

    monkeypatch.setattr(ChildServer, "count", noting)
    reported = []
    async with running(cache=smollm2, threads=1) as engine:  # two wait for each other whenever a core is busy
        calls = [a_call(messages=messages, max_tokens=1) for messages in conversations(10)]
        calls += [a_call("completion", prompt=text, max_tokens=1) for text in WORDS[:5]]
        for call in calls:
            found = await answer(engine, call)
            reported.append(found["usage"]["prompt_tokens"])
    assert counted == reported
    assert len(reported) == 15
