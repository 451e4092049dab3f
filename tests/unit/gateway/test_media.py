"""What images, sound, film and files make of a chat's size: it is what its tokens are estimated by."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.media import BYTES
from gateway.prompt import parse

DATA = "A/+" * 100_000
IMAGE = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{DATA}"}}
SOUND = {"type": "input_audio", "input_audio": {"data": DATA, "format": "wav"}}
VIDEO = {"type": "video_url", "video_url": {"url": f"data:video/mp4;base64,{DATA}"}}
HEARD = {"type": "audio_url", "audio_url": {"url": f"data:audio/ogg;base64,{DATA}"}}
FILE = {"type": "file", "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{DATA}"}}
PLAIN = {"type": "file", "file": {"file_data": DATA}}
TEXT = {"type": "text", "text": "What is this?"}
FRAME = 200
"""Bytes of JSON around a part, at most."""


def size(*contents: Any, slashes: str = "/") -> int:
    """Of a chat with a message for each of the contents."""
    messages = [{"role": "user", "content": content} for content in contents]
    body = json.dumps({"model": "m", "messages": messages}).replace("/", slashes)
    return parse("chat", body.encode()).text_bytes


@pytest.mark.parametrize("content", ["Hello.", [TEXT], [TEXT, TEXT]])
def test_text_counts_as_long_as_its_body_is(content: Any) -> None:
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": content}]}).encode()
    assert parse("chat", body).text_bytes == len(body)


@pytest.mark.parametrize("kind", ["completion", "embedding"])
def test_so_do_requests_that_are_no_chats(kind: Any) -> None:
    body = json.dumps({"model": "m", "input" if kind == "embedding" else "prompt": DATA}).encode()
    assert parse(kind, body).text_bytes == len(body)


@pytest.mark.parametrize(
    "part", [IMAGE, SOUND, VIDEO, HEARD, FILE, PLAIN], ids=["image", "sound", "video", "heard", "file", "plain"]
)
def test_data_counts_as_the_same_however_much_it_is(part: Any) -> None:
    assert BYTES < size([TEXT, part]) < BYTES + FRAME


def test_each_piece_counts_in_whichever_message_it_is() -> None:
    assert 3 * BYTES < size([IMAGE, TEXT, SOUND], "And this?", [IMAGE]) < 3 * BYTES + 4 * FRAME


@pytest.mark.parametrize("kind", ["image_url", "video_url", "audio_url"])
def test_one_that_is_elsewhere_counts_as_much(kind: str) -> None:
    there = {"type": kind, kind: {"url": "https://images.example/a"}}
    assert BYTES < size([there]) < BYTES + FRAME


def test_a_file_that_the_model_server_has_counts_as_much() -> None:
    there = {"type": "file", "file": {"file_id": "file-1"}}
    assert BYTES < size([there]) < BYTES + FRAME


def test_one_of_a_kind_that_is_not_openai_s_is_the_model_server_s_to_judge() -> None:
    short = {"type": "video_url", "video_url": f"data:video/mp4;base64,{DATA}"}
    assert BYTES < size([short, {"type": "audio_url"}]) < BYTES + FRAME


def test_an_address_that_is_no_data_is_text() -> None:
    long = {"type": "image_url", "image_url": {"url": f"https://images.example/{DATA}"}}
    assert size([long]) > BYTES + len(DATA)


def test_escaped_slashes_are_part_of_the_data() -> None:
    """As PHP writes them."""
    assert BYTES < size([TEXT, IMAGE], slashes=r"\/") < BYTES + FRAME


def test_text_beside_them_counts_as_ever() -> None:
    long = {"type": "text", "text": "x/" * 10_000}
    assert size([long, IMAGE]) > BYTES + 20_000
