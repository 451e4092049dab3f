"""Frames come whole however the bytes are cut, and what can't be one breaks the connection."""

from __future__ import annotations

import struct
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.tensorrt_llm.wire import MAX_PAYLOAD, Frame, Frames, Kind, Said, State, Wanted, frame

MESSAGES = [
    (Kind.GENERATE, 1, Wanted("hi", {"max_tokens": 16, "stop": ["a"]}, ("json", "{}"))),
    (Kind.SAID, 2**32 - 1, Said("tr\xe4gt \U0001f3d4", 3, 4, None, [-0.5])),
    (Kind.MORE, 7, None),
    (Kind.ASK, 0, None),
    (Kind.STATE, 0, State(healthy=True, running=2, waiting=None, kv_used=0.5)),
]


@given(st.lists(st.integers(0, 400), max_size=20))
def test_frames_are_found_however_they_are_cut(cuts: list[int]) -> None:
    stream = b"".join(frame(*message) for message in MESSAGES)
    frames = Frames()
    borders = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    found = [one for begin, end in pairwise(borders) for one in frames.feed(stream[begin:end])]
    assert found == [
        Frame(kind, call, b"" if message is None else msgspec.msgpack.encode(message))
        for kind, call, message in MESSAGES
    ]
    assert repr(frames) == "<Frames 0 bytes held>"


@pytest.mark.parametrize("header", [struct.pack("<IBI", MAX_PAYLOAD + 1, 1, 1), struct.pack("<IBI", 0, 99, 1)])
def test_what_can_not_be_a_frame_is_refused(header: bytes) -> None:
    with pytest.raises(ValueError, match=r"frame is too long|99 is not a valid Kind"):
        list(Frames().feed(header))


def test_messages_come_back_as_they_were() -> None:
    for _, _, message in MESSAGES:
        if message is not None:
            assert msgspec.msgpack.decode(msgspec.msgpack.encode(message), type=type(message)) == message
