"""The official SDK and a real model inside a real Triton: words that make sense, counted as the model counts them."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import openai
import pytest

from engines.embedded.engine import EmbeddedEngine
from tests.support.embedded import running
from tests.support.sdk_answers import chat, completion
from tests.support.texts import a_text
from tests.support.triton_stand import TRANSPORTS, Journal, TritonStand, weights

FRANCE: list[Any] = [
    {"role": "system", "content": "You are a helpful assistant."},
    {"role": "user", "content": "What is the capital of France?"},
]
TOOL = {"type": "function", "function": {"name": "f"}}
CONVERSATIONS = 8
JOINED = 3
"""Tokens that may not be counted, at most: the model counts none itself, and the server may put two into one answer."""


def sayable(rng: random.Random) -> list[Any]:
    """A conversation without the one character that is refused; short, as the model reads slowly."""
    turns = [a_text(rng, 5).replace("\0", "") for _ in range(rng.choice([1, 3]))]
    return [{"role": ("user", "assistant")[at % 2], "content": turn} for at, turn in enumerate(turns)]


async def ids_of(engine: EmbeddedEngine, text: str) -> list[int]:
    """Those of llama.cpp itself."""
    question = msgspec.json.encode({"content": text, "add_special": True, "parse_special": True})
    status, answer = await engine._child.served._ask("POST", "/tokenize", question)
    assert status == 200
    ids: list[int] = msgspec.json.decode(answer)["tokens"]
    return ids


once = pytest.mark.parametrize("transport", TRANSPORTS[-1:], indirect=True)


def test_a_chat_and_its_stream(stand: TritonStand) -> None:
    members = {"model": "smollm2", "messages": FRANCE, "temperature": 0, "max_tokens": 30}
    whole, streamed = (chat(stand.sdk(), stream=stream, **members) for stream in (False, True))
    assert "Paris" in whole.texts[0]
    assert whole.texts == streamed.texts
    assert whole.reasons == streamed.reasons == {0: "stop"}
    assert whole.usage is not None
    assert streamed.usage is not None
    assert whole.usage[0] == streamed.usage[0]
    assert abs(whole.usage[1] - streamed.usage[1]) <= JOINED


@once
def test_a_story_of_as_many_tokens_as_were_asked_for(stand: TritonStand) -> None:
    told = completion(
        stand.sdk(), stream=True, model="smollm2", prompt="Once upon a time", temperature=0, max_tokens=12
    )
    assert told.reasons == {0: "length"}
    assert told.usage is not None
    assert 12 - JOINED <= told.usage[1] <= 12
    assert len(told.texts[0].split()) > 5


@once
@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
def test_stop_and_several(stand: TritonStand, stream: bool) -> None:
    told = chat(
        stand.sdk(), stream=stream, model="smollm2", messages=FRANCE, temperature=0, n=2, stop=["Par"], max_tokens=30
    )
    assert told.texts[0] == told.texts[1]
    assert told.texts[0].endswith(" ")
    assert "Par" not in told.texts[0]
    assert told.reasons == {0: "stop", 1: "stop"}


@once
def test_the_same_seed_gives_the_same_text(stand: TritonStand) -> None:
    members = {"model": "smollm2", "messages": FRANCE, "temperature": 1.5, "max_tokens": 10}
    texts = [chat(stand.sdk(), stream=False, seed=seed, **members).texts[0] for seed in (7, 7, 8)]
    assert texts[0] == texts[1] != texts[2]


@once
@pytest.mark.parametrize(
    ("param", "members"),
    [
        ("logprobs", {"logprobs": True}),
        ("tools", {"tools": [TOOL]}),
        ("response_format", {"response_format": {"type": "json_object"}}),
        ("logit_bias", {"logit_bias": {"1": 1}}),
    ],
)
def test_what_it_can_not_do_is_refused_by_name(
    stand: TritonStand, journal: Journal, param: str, members: dict[str, Any]
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        chat(stand.sdk(), stream=False, model="smollm2", messages=FRANCE, **members)
    assert (caught.value.param, caught.value.code) == (param, "unsupported_parameter")
    chat(stand.sdk(), stream=False, model="smollm2", messages=FRANCE, max_tokens=1)
    assert len(journal.asked()) == 1


@once
async def test_p37_prompt_tokens_are_the_ids_that_the_model_got(stand: TritonStand, journal: Journal) -> None:
    """P37: as llama.cpp itself makes them of the text that was sent; and its first id alone is the BOS."""
    rng = random.Random(37)
    told = [
        chat(stand.sdk(), stream=False, model="smollm2", messages=sayable(rng), max_tokens=1)
        for _ in range(CONVERSATIONS)
    ]
    sent = [one.inputs["text_input"][0] for one in journal.asked()]
    assert len(sent) == CONVERSATIONS
    async with running(model_path=weights(), slots=1, context=2048, max_prompt_tokens=100) as engine:
        for text, answer in zip(sent, told, strict=True):
            ids = await ids_of(engine, text)
            assert answer.usage is not None
            assert answer.usage[0] == len(ids), text
            assert ids[0] == 1 != ids[1]


def test_embeddings(stand: TritonStand) -> None:
    client = stand.sdk()
    plain = client.embeddings.create(model="embedder", input=["one", "two", "one"], encoding_format="float")
    packed = client.embeddings.create(model="embedder", input=["one", "two", "one"])  # base64, unasked
    vectors = [one.embedding for one in plain.data]
    assert [one.index for one in plain.data] == [0, 1, 2]
    assert vectors[0] == vectors[2] != vectors[1]
    assert [one.embedding for one in packed.data] == [pytest.approx(one, abs=1e-6) for one in vectors]
    assert (plain.model, plain.usage.prompt_tokens) == ("embedder", 3)
    with pytest.raises(openai.BadRequestError) as caught:
        client.embeddings.create(model="embedder", input="one", dimensions=7)
    assert caught.value.param == "dimensions"
    with pytest.raises(openai.BadRequestError) as caught:
        chat(client, stream=False, model="embedder", messages=FRANCE)
    assert caught.value.param == "model"
