"""How an answer is streamed over gRPC: responses at their pace, and how it goes wrong.

    fault               what is on the wire after `after` good tokens (a unary answer: instead of it)
    accept_silent       nothing, ever (instead of an answer)
    half_open           nothing, and nothing is read any more (instead of an answer)
    reset               RST of the connection, with all that runs on it (instead of an answer)
    status              the call ends with gRPC's code `status` (over 16: 14, UNAVAILABLE) (instead of an answer)
    reset_after         RST of the connection, with all that runs on it
    stall               silence
    error               `error` in band, then the final
    traceback           a Python traceback in band, then the final
    eof_clean           trailers with OK; all but the final is there if `after` is not less than the answer's length
    no_final            the rest of the answer, then silence instead of its final
    wrong_dtype         `text_output` as INT32, then the rest of the answer
    missing_output      a response without `text_output`, then the rest of the answer
    invalid_utf8        a token that is no UTF-8, then the rest of the answer
    huge                a token of `bytes` bytes, then the rest of the answer
    cut_character       every token ends within a character; the last one too, if there is an odd number (all along)
    drip                every token `drip_ms` after the other (all along)

The other faults of HTTP mean nothing here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from loadtests.fleet.turn import FOREVER, Script, at_once, silence

if TYPE_CHECKING:
    from loadtests.fleet.triton.stream import StreamTurn

_COALESCED = 4
_FLUSH = 0.02
"""Seconds for what was written to leave before a reset, which drops what is still on its way."""
_UNAVAILABLE = 14
_LIES = {"wrong_dtype", "missing_output", "invalid_utf8"}
_TRACEBACK = """Traceback (most recent call last):
  File "/models/tensorrt_llm_bls/1/model.py", line 108, in execute
    for res in res_gen:
  File "/models/tensorrt_llm_bls/1/lib/decode.py", line 219, in decode
    raise RequestValidationError("the engine died with secret=hunter2")
RequestValidationError: the engine died with secret=hunter2
"""


def script(turn: StreamTurn) -> Script:
    """What the request's settings make of it."""
    instead = INSTEAD.get(turn.settings.fault)
    return instead(turn) if instead else _answer(turn)


def _answer(turn: StreamTurn) -> Script:
    settings, answer = turn.settings, turn.answer
    breaks = BREAKS.get(settings.fault)
    size = len(answer.pieces)
    last = (min(settings.after, size) if answer.stream else 0) if breaks else size
    for pause, begin, end in _paced(turn, last):
        if pause is not None:
            yield pause
        if turn.replica.settings.wedged:
            yield FOREVER
        if turn.stopped:
            return turn.stop()
        turn.tell(begin, end, final=turn.flagged and end == size)
    return (yield from (breaks or _end)(turn))


def _paced(turn: StreamTurn, last: int) -> Iterator[tuple[float | None, int, int]]:
    """The steps of an answer: seconds before each (None: at once), and the tokens that are new with it."""
    settings = turn.settings
    gap = (settings.drip_ms if settings.fault == "drip" else settings.delay_ms) / 1000
    size = _COALESCED if settings.chunking == "coalesce" else 1
    first = settings.ttft_ms
    if not turn.answer.stream:
        size, first = max(1, last), settings.service_ms
    pause = first / 1000 or None
    for begin in range(0, last, size):
        end = min(begin + size, last)
        yield pause, begin, end
        pause = gap * (end - begin)


def _end(turn: StreamTurn) -> Script:
    settings, size = turn.settings, len(turn.answer.pieces)
    if not size:
        turn.tell(0, 0)
    if settings.fault == "no_final":
        return (yield from silence(turn))
    if not (turn.flagged and size):
        turn.final()
    return "fault" if settings.fault in _LIES else "finished"


def _half_open(turn: StreamTurn) -> Script:
    turn.stream.stop_reading()
    return (yield from silence(turn))


def _reset(turn: StreamTurn) -> Script:
    yield _FLUSH
    turn.stream.reset()
    return "fault"


@at_once
def _status(turn: StreamTurn) -> None:
    status = turn.settings.status
    turn.stream.abort(status if status <= 16 else _UNAVAILABLE, "The server had an error.")  # noqa: PLR2004 -- the last


INSTEAD: dict[str, Callable[[StreamTurn], Script]] = {
    "accept_silent": silence,
    "half_open": _half_open,
    "reset": _reset,
    "status": _status,
}
"""Faults that stand in for the answer."""


@at_once
def _clean_end(turn: StreamTurn) -> None:
    turn.stream.end()


@at_once
def _error(turn: StreamTurn) -> None:
    turn.fail(turn.settings.error or turn.answer.died)


@at_once
def _traceback(turn: StreamTurn) -> None:
    turn.fail(_TRACEBACK)


BREAKS: dict[str, Callable[[StreamTurn], Script]] = {
    "reset_after": _reset,
    "stall": silence,
    "eof_clean": _clean_end,
    "error": _error,
    "traceback": _traceback,
}
"""Faults that end a stream after some tokens."""
