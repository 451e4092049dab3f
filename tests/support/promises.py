"""What each adapter promises, where they differ: the pipeline is one, but stock uvicorn stands before the ASGI one."""

from __future__ import annotations

from dataclasses import dataclass

from tests.support.gateway import Adapter


@dataclass(frozen=True)
class Promises:
    """True where our front door keeps what a stock server does not."""

    refusals_have_envelopes: bool
    """What no parser can read is refused with OpenAI's envelope and a request id (uvicorn: 400 in plain text)."""
    upgrades_have_bodies: bool
    """A request that also asks for another protocol keeps its body (uvicorn loses it: we close behind the answer)."""
    http10_stays: bool
    """HTTP/1.0 with keep-alive stays open (uvicorn: closes)."""
    http10_has_no_chunks: bool
    """A stream for HTTP/1.0 is ended by closing (uvicorn: sends chunks)."""
    pipelines_are_bounded: bool
    """What waits behind a request is bounded in number and bytes (uvicorn: stops reading, and sees no client leave)."""
    refusals_wait_for_their_turn: bool
    """A malformed request is refused behind the answers before it (uvicorn: at once)."""
    continue_is_spared: bool
    """100 (Continue) only where the body is awaited (uvicorn: whenever the application reads, even to HTTP/1.0)."""
    heads_are_timed: bool
    """Headers that do not end are refused in time (uvicorn: waits for ever)."""
    heads_are_bounded: bool
    """Headers without an end are refused by their size (uvicorn: takes them in)."""
    refusals_are_readable: bool
    """A refusal can be read though the client went on sending (uvicorn: closes at once, which may reset)."""
    stalled_are_cut: bool
    """A client that does not read is cut off (ASGI: holds are released, but the socket is the server's)."""
    slow_are_known: bool
    """A client that reads slowly is not taken for one that does not (ASGI: its server must take a write in time)."""
    absolute_targets_count: bool
    """The authority of an absolute target overrules the Host header (uvicorn drops it; no browser sends one)."""
    connections_are_limited: bool
    """`limits.connections` is kept."""
    half_closed_are_told: bool
    """A body that ends early is answered when the client waits for that (uvicorn: closes)."""


PROMISES: dict[Adapter, Promises] = {
    "front_door": Promises(*[True] * 15),
    "asgi": Promises(*[False] * 15),
}
