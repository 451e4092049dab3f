"""A Triton whose models break or lie: a 502 with a request id, or an error event after content; never a hang."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from loadtests.fleet.answers import words
from loadtests.triton import TritonServer
from tests.support.triton_stand import TRANSPORTS, TritonStand, real_models, triton_stand

TIMER = 1.5
"""Seconds of the timers for the first token and between two."""
SOON = 10 * TIMER
MODELS = ("llmapi", "ensemble", "bls", "accumulating", "generic")
LIES = [
    pytest.param(model, fault, id=f"{model}-{fault}")
    for model in MODELS
    for fault in ("error", "invalid_utf8", "missing_output", "wrong_dtype", "huge")
]


@pytest.fixture(scope="module")
def strict(triton: TritonServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonStand]:
    """Short timers, and no answers of more than 256 KiB."""
    models = partial(real_models, triton, transport=TRANSPORTS[-1], max_message=256 << 10)
    timeouts = {"first_token": TIMER, "inter_token": TIMER}
    with triton_stand(tmp_path_factory.mktemp("strict"), models, timeouts=timeouts) as stand:
        yield stand


def asked(stand: TritonStand, model: str, directive: str, *, stream: bool) -> tuple[str, str, str]:
    """The text said, the code of the error, and the id of the request."""
    body = {
        "model": model,
        "prompt": f"Say it. @@tokens=8,size=300000,{directive}@@",
        "max_tokens": 20,
        "stream": stream,
    }
    began = time.monotonic()
    answer = stand.http.post("/v1/completions", json=body)
    assert time.monotonic() - began < SOON
    identity = answer.headers["x-request-id"]
    assert identity.startswith("req_")
    if answer.status_code != 200:
        assert answer.status_code in (502, 504), answer.text
        error = answer.json()["error"]
        return "", check_error(error), identity
    assert stream, answer.text
    assert "[DONE]" not in answer.text
    events: list[Any] = [json.loads(event.strip()[6:]) for event in answer.text.split("\n\n") if event.strip()]
    text = "".join(choice["text"] for event in events for choice in event.get("choices", ()))
    return text, check_error(events[-1]["error"]), identity


def check_error(error: dict[str, Any]) -> str:
    """Nothing of the server's own words, which hold paths."""
    assert error["type"] == "server_error"
    assert "/" not in error["message"]
    assert "engine died" not in error["message"]
    code: str = error["code"]
    return code


@pytest.mark.parametrize(("model", "fault"), LIES)
def test_a_lie_before_any_content_is_a_502(strict: TritonStand, model: str, fault: str) -> None:
    for stream in (False, True):
        text, code, _ = asked(strict, model, f"fault={fault},after=0", stream=stream)
        assert (text, code) == ("", "upstream_error")


@pytest.mark.parametrize(("model", "fault"), LIES)
def test_a_lie_after_content_is_an_error_event(strict: TritonStand, model: str, fault: str) -> None:
    text, code, _ = asked(strict, model, f"fault={fault},after=3,delay_ms=30", stream=True)
    if model == "ensemble":  # its errors overtake tokens that are still in postprocessing
        assert "".join(words(0, 3)).startswith(text)
        assert code == ("upstream_interrupted" if text else "upstream_error")
    else:
        assert (text, code) == ("".join(words(0, 3)), "upstream_interrupted")


def test_silence_ends_by_a_timer(strict: TritonStand) -> None:
    """Before any content, after some, and where only the end of the stream is missing."""
    asks = [
        (model, directive, stream, text, code)
        for model in ("llmapi", "ensemble")
        for directive, stream, text, code in (
            ("fault=stall,after=0", False, "", "upstream_timeout"),
            ("fault=stall,after=3", True, "".join(words(0, 3)), "upstream_timeout"),
            ("fault=no_final", True, "".join(words(0, 8)), "upstream_timeout"),
        )
    ]
    with ThreadPoolExecutor(len(asks)) as threads:
        waits = [
            threads.submit(asked, strict, model, directive, stream=stream) for model, directive, stream, *_ in asks
        ]
        assert [one.result()[:2] for one in waits] == [(text, code) for *_, text, code in asks]


@pytest.mark.parametrize("model", MODELS)
def test_p40_characters_are_never_cut(strict: TritonStand, model: str) -> None:
    """P40: a token is not a unit of text; the joined stream is the unary text, without a replacement character."""
    client = strict.sdk()
    members: dict[str, Any] = {"model": model, "prompt": "@@fault=cut_character@@", "max_tokens": 99}
    whole = client.completions.create(**members).choices[0]
    parts = [chunk.choices[0].text for chunk in client.completions.create(**members, stream=True)]
    assert "".join(parts) == whole.text == "Größe, naïve café, 漢字 und 🏔!"
    assert len(parts) > 10
    assert whole.finish_reason == "stop"


def test_p40_a_text_that_ends_within_a_character_ends_before_it(strict: TritonStand) -> None:
    """P40: each token is a byte here, and `ö` and `ß` have two."""
    for cap, text in ((3, "Gr"), (4, "Grö"), (5, "Grö"), (6, "Größ")):
        members: dict[str, Any] = {"model": "ensemble", "prompt": "@@fault=cut_character@@", "max_tokens": cap}
        whole = strict.sdk().completions.create(**members).choices[0]
        parts = [chunk.choices[0].text for chunk in strict.sdk().completions.create(**members, stream=True)]
        assert whole.text.rstrip("\ufffd") == text
        assert "".join(parts) == whole.text
        assert whole.finish_reason == "length"
