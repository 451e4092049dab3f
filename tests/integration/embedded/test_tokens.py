"""A GGUF file's tokenizer here gives the ids that llama.cpp gives, and its chat template the same prompt."""

from __future__ import annotations

import random
from pathlib import Path

import msgspec
import pytest

from engines.embedded.engine import EmbeddedEngine
from engines.embedded.weights import SMOLLM2
from engines.text.templates import ChatTemplate
from engines.text.tokens import Tokenizer
from tests.support.embedded import running
from tests.support.texts import a_conversation, a_text
from tests.support.vocabularies import PRE_TOKENIZERS, byte_level, sentence_piece, write_gguf


async def asked(engine: EmbeddedEngine, path: str, key: str, **question: object) -> object:
    status, answer = await engine._child.served._ask("POST", path, msgspec.json.encode(question))
    assert status == 200, answer
    return msgspec.json.decode(answer)[key]


async def ids_of(engine: EmbeddedEngine, text: str) -> object:
    return await asked(engine, "/tokenize", "tokens", content=text, add_special=True, parse_special=True)


async def agree(path: Path, texts: int) -> None:
    tokenizer, rng = Tokenizer.load(path), random.Random(37)
    bos = tokenizer._tokenizer.token_to_id(tokenizer.bos)
    async with running(model_path=path, slots=1, context=2048, max_prompt_tokens=100) as engine:
        assert bos is not None
        for _ in range(texts):
            text = tokenizer.sendable(rng.choice(["", "", tokenizer.bos, 2 * tokenizer.bos]) + a_text(rng))
            ours = tokenizer._tokenizer.encode(text, add_special_tokens=False).ids
            ours = [bos, *ours] if tokenizer.adds_bos else ours
            assert await ids_of(engine, text) == ours, text
            assert tokenizer.count(text) == len(ours)
            assert ours[:2] != [bos, bos]


@pytest.mark.parametrize("pre", PRE_TOKENIZERS)
async def test_byte_level_vocabularies_agree_with_llama_cpp(pre: str, tmp_path: Path) -> None:
    await agree(write_gguf(tmp_path / "model.gguf", byte_level(), pre=pre), 150)


@pytest.mark.parametrize("flags", [{}, {"add_space_prefix": False, "add_bos_token": False}], ids=["usual", "bare"])
async def test_sentence_piece_vocabularies_agree_with_llama_cpp(flags: dict[str, bool], tmp_path: Path) -> None:
    await agree(write_gguf(tmp_path / "model.gguf", sentence_piece(), **flags), 300)


async def test_smollm2_agrees_with_llama_cpp(smollm2: Path) -> None:
    await agree(smollm2 / SMOLLM2.file, 400)


async def test_p37_200_conversations_with_smollm2_are_what_llama_cpp_makes_of_them(smollm2: Path) -> None:
    path = smollm2 / SMOLLM2.file
    tokenizer, template, rng = Tokenizer.load(path), ChatTemplate.load(path), random.Random(37)
    async with running(model_path=path, slots=1, context=2048, max_prompt_tokens=100) as engine:
        for _ in range(200):
            messages = a_conversation(rng)
            prompt = template.render(messages)
            said = template._turns.harmless(messages)  # llama.cpp lets callers spell control tokens
            assert prompt == await asked(engine, "/apply-template", "prompt", messages=said)
            ids = await ids_of(engine, tokenizer.sendable(prompt))
            assert isinstance(ids, list)
            assert tokenizer.count(prompt) == len(ids)
            assert ids[0] == 1 != ids[1]
            assert ids.count(1) == len(messages) + 1 + (messages[0]["role"] != "system"), "one per turn"
