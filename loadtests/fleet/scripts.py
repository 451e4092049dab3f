"""How a good answer is written: a JSON document after its service time, or events at their pace."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

from loadtests.fleet import faults
from loadtests.fleet.answers import DONE, Events, embeddings, unary
from loadtests.fleet.settings import Settings, header_lines
from loadtests.fleet.turn import Script
from loadtests.fleet.wire import CONTINUE, Framing, json_head, response

if TYPE_CHECKING:
    from loadtests.fleet.http_turn import HttpTurn

_COALESCED = 4
_SEGMENT_GAP = 0.001
"""Seconds between the two halves of a split event, so that they leave as two segments."""
_LATE = 0.02


def script(turn: HttpTurn) -> Script:
    """What the request's settings make of it."""
    fault = turn.settings.fault
    if fault in faults.INSTEAD:
        return faults.INSTEAD[fault](turn)
    if fault == "close_reuse" and turn.connection.requests > 1:
        return faults.close(turn)
    if turn.ask.stream and turn.plan.kind != "embedding":
        return _stream(turn)
    return _unary(turn)


def _unary(turn: HttpTurn) -> Script:
    settings, plan = turn.settings, turn.plan
    if settings.service_ms:
        yield settings.service_ms / 1000
    fault = settings.fault
    body = embeddings(turn.ask, plan) if plan.kind == "embedding" else unary(plan, usage=fault != "no_usage")
    turn.produced(len(plan.pieces) * plan.choices)
    if settings.headers:
        turn.write(response(200, body, *header_lines(settings)))
    elif not fault:
        turn.write(json_head(len(body)) + body)
    elif fault in faults.UNARY:
        return (yield from faults.UNARY[fault](turn, body))
    elif fault == "gzip":
        turn.write(response(200, gzip.compress(body), b"content-encoding: gzip"))
    else:
        turn.write((CONTINUE if fault == "continue_100" else b"") + response(200, body))
    return "finished"


def _stream(turn: HttpTurn) -> Script:
    settings = turn.settings
    framing = Framing(settings.fault, settings.chunking, *header_lines(settings))
    events = Events(turn.plan, role_apart=settings.role_apart)
    breaks = faults.STREAM.get(settings.fault)
    tokens = islice(events.tokens(), settings.after) if breaks else events.tokens()
    lead = framing.head
    if role := events.role():
        turn.write(lead + framing.frame(role))
        lead = b""
    if settings.ttft_ms:
        yield settings.ttft_ms / 1000
    for pause, data, produced in _paced(tokens, settings, framing):
        if pause is not None:
            yield pause
        turn.write(lead + data if lead else data)
        lead = b""
        turn.produced(produced * turn.plan.choices)
    turn.write(lead)
    if breaks:
        return (yield from breaks(turn, framing, events))
    turn.write(ending(turn, framing, events))
    if settings.fault == "done_late":
        yield _LATE
    turn.write(framing.end())
    if settings.fault == "wrong_length":
        return (yield from faults.close(turn))
    return "finished"


def _paced(tokens: Iterator[bytes], settings: Settings, framing: Framing) -> Iterator[tuple[float | None, bytes, int]]:
    """The writes of a stream: seconds before it (None before the first), bytes, tokens that are out with it."""
    gap = (settings.drip_ms if settings.fault == "drip" else settings.delay_ms) / 1000
    size = _COALESCED if settings.chunking == "coalesce" else 1
    pause: float | None = None
    while batch := tuple(islice(tokens, size)):
        data = b"".join(batch)
        if settings.chunking == "split":
            middle = len(data) // 2
            yield pause, framing.frame(data[:middle]), 0
            yield _SEGMENT_GAP, framing.frame(data[middle:]), 1
        else:
            yield pause, framing.frame(data), len(batch)
        pause = gap * len(batch)


def ending(turn: HttpTurn, framing: Framing, events: Events) -> bytes:
    """What follows the last token: finish_reason, usage if asked for, `[DONE]`."""
    fault = turn.settings.fault
    parts = [events.finish()]
    if turn.ask.include_usage and fault != "no_usage":
        parts.append(events.usage())
    if fault != "no_done_but_finish":
        parts.append(DONE)
    return b"".join(framing.frame(part) for part in parts)
