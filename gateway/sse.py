"""What the gateway itself writes into an event stream: keep-alive comments and the error that ends one."""

from __future__ import annotations

from gateway.errors import Problem

HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),  # nginx would hold the stream back
]
KEEP_ALIVE = b": keep-alive\n\n"
"""A comment: every SSE parser skips it, and no proxy in between thinks the stream idle."""


def error_event(problem: Problem) -> bytes:
    """The last event of a stream that failed. The blank line before it closes an event that was cut."""
    return b"\n\ndata: " + problem.envelope() + b"\n\n"
