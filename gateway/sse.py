"""What the gateway itself writes into an event stream: keep-alive comments and the error that ends one."""

from __future__ import annotations

from gateway.errors import Problem

LINES = (
    b"content-type: text/event-stream; charset=utf-8\r\n"
    b"cache-control: no-cache\r\n"
    b"x-accel-buffering: no\r\n"  # nginx would hold the stream back
)
"""Header lines of a stream."""
DONE = b"data: [DONE]\n\n"
"""The last event of a whole stream: a client that has it may leave before we have ended."""
KEEP_ALIVE = b": keep-alive\n\n"
"""A comment: every SSE parser skips it, and no proxy in between thinks the stream idle."""


def error_event(problem: Problem) -> bytes:
    """The last event of a stream that failed. The blank line before it closes an event that was cut."""
    return b"\n\ndata: " + problem.envelope + b"\n\n"
