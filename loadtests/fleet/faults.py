"""How an answer goes wrong: each fault shows on the wire what its name says.

    fault               stream (after `after` tokens)             unary
    reset               RST instead of an answer                  the same
    accept_silent       nothing is ever written                   the same
    half_open           nothing is written or read any more       the same
    headers_silent      response head, then silence               the same
    status              error response `status`, `retry_after`    the same
    early_response      4xx before the body is read, then close   the same
    error_body_200      200 with a JSON error body                the same
    reset_after         RST                                       RST after half the body
    stall               silence                                   silence after half the body
    drip                every token `drip_ms` after the other     a tenth of the body every `drip_ms`
    eof_clean           the chunked body ends, no terminal event  a chunked body of half the document
    eof_close           FIN without the end of the chunked body   FIN after half of content-length
    eof_delimited       a body ended by close, and FIN            the same with half the document
    cut                 half an event, then FIN                   as eof_close
    malformed           broken JSON, then the usual ending        broken JSON of the right length
    error_event         error event, `[DONE]`                     as error_body_200
    wrong_length        whole, content-length too large, FIN      the same
    gzip                gzipped though not asked                  the same
    done_late           end of the chunked body 20 ms late        the same
    no_usage            usage never said                          the same
    no_done_but_finish  all but `[DONE]`                          none
    close_idle          FIN right after the answer                the same
    close_reuse         FIN instead of an answer, if the          the same
                        connection was used before
    continue_100        100 Continue first                        the same

`early_response` needs to be known before the body is: from the replica's settings or the header. As a setting of the
replica, `half_open` holds from the moment of the connection on. A listener that refuses or whose backlog is full is a
state of the listener (`listener.py`), not a fault of a request.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from loadtests.fleet.answers import DONE, Events, error
from loadtests.fleet.turn import Script, at_once, silence
from loadtests.fleet.wire import LAST, Framing, chunk, head, json_head, refusal, response

if TYPE_CHECKING:
    from loadtests.fleet.http_turn import HttpTurn

_FLUSH = 0.005
"""Seconds for what was written to leave before a reset, which drops what is still in the socket."""
_BROKEN = b'data: {"id":"broken","object":"chat.completion.chunk","choices":[{"index":0,\n\n'
_ERROR = error("The engine died.", "server_error", "internal_error")
_JSON = b"application/json"


@at_once
def close(turn: HttpTurn) -> None:
    """FIN, once what was written is out."""
    turn.connection.close()


def _reset(turn: HttpTurn) -> Script:
    yield _FLUSH
    turn.connection.reset()
    return "fault"


def _half_open(turn: HttpTurn) -> Script:
    turn.connection.stop_reading()
    return (yield from silence(turn))


def _headers_silent(turn: HttpTurn) -> Script:
    settings = turn.settings
    turn.write(Framing(settings.fault, settings.chunking).head if turn.ask.stream else json_head(500))
    return (yield from silence(turn))


@at_once
def _status(turn: HttpTurn) -> None:
    again = turn.settings.retry_after
    turn.write(refusal(turn.settings.status, *([b"retry-after: " + again.encode()] if again else [])))


@at_once
def _early(turn: HttpTurn) -> None:
    turn.connection.refuse_early(turn.settings)


@at_once
def _error_body(turn: HttpTurn) -> None:
    turn.write(response(200, _ERROR))


INSTEAD: dict[str, Callable[[HttpTurn], Script]] = {
    "reset": _reset,
    "accept_silent": silence,
    "half_open": _half_open,
    "headers_silent": _headers_silent,
    "status": _status,
    "early_response": _early,
    "error_body_200": _error_body,
}
"""Faults that stand in for the answer."""


@at_once
def _clean_end(turn: HttpTurn, framing: Framing, _events: Events) -> None:
    turn.write(framing.end())


def _cut(turn: HttpTurn, framing: Framing, events: Events) -> Script:
    event = events.finish()
    turn.write(framing.frame(event[: len(event) // 2]))
    return (yield from close(turn))


@at_once
def _malformed(turn: HttpTurn, framing: Framing, events: Events) -> None:
    parts = (_BROKEN, events.finish(), DONE)
    turn.write(b"".join(map(framing.frame, parts)) + framing.end())


@at_once
def _error_event(turn: HttpTurn, framing: Framing, _events: Events) -> None:
    turn.write(framing.frame(b"data: " + _ERROR + b"\n\n") + framing.frame(DONE) + framing.end())


STREAM: dict[str, Callable[[HttpTurn, Framing, Events], Script]] = {
    "reset_after": lambda turn, _framing, _events: _reset(turn),
    "stall": lambda turn, _framing, _events: silence(turn),
    "eof_clean": _clean_end,
    "eof_close": lambda turn, _framing, _events: close(turn),
    "eof_delimited": lambda turn, _framing, _events: close(turn),
    "cut": _cut,
    "malformed": _malformed,
    "error_event": _error_event,
}
"""Faults that end a stream after some tokens."""


def _half_then(then: Callable[[HttpTurn], Script]) -> Callable[[HttpTurn, bytes], Script]:
    def script(turn: HttpTurn, body: bytes) -> Script:
        turn.write(json_head(len(body)) + body[: len(body) // 2])
        return (yield from then(turn))

    return script


def _drip(turn: HttpTurn, body: bytes) -> Script:
    turn.write(json_head(len(body)))
    size = len(body) // 10 + 1
    for at in range(0, len(body), size):
        yield turn.settings.drip_ms / 1000
        turn.write(body[at : at + size])
    return "finished"


@at_once
def _half_chunked(turn: HttpTurn, body: bytes) -> None:
    turn.write(head(200, _JSON, b"transfer-encoding: chunked") + chunk(body[: len(body) // 2]) + LAST)


def _half_delimited(turn: HttpTurn, body: bytes) -> Script:
    turn.write(head(200, _JSON, b"connection: close") + body[: len(body) // 2])
    return (yield from close(turn))


def _wrong_length(turn: HttpTurn, body: bytes) -> Script:
    turn.write(json_head(len(body) + 100) + body)
    return (yield from close(turn))


@at_once
def _broken_json(turn: HttpTurn, body: bytes) -> None:
    turn.write(response(200, body[:-1]))


def _late_end(turn: HttpTurn, body: bytes) -> Script:
    turn.write(head(200, _JSON, b"transfer-encoding: chunked") + chunk(body))
    yield 0.02
    turn.write(LAST)
    return "finished"


UNARY: dict[str, Callable[[HttpTurn, bytes], Script]] = {
    "reset_after": _half_then(_reset),
    "stall": _half_then(silence),
    "drip": _drip,
    "eof_clean": _half_chunked,
    "eof_close": _half_then(close),
    "eof_delimited": _half_delimited,
    "cut": _half_then(close),
    "malformed": _broken_json,
    "error_event": lambda turn, _body: _error_body(turn),
    "wrong_length": _wrong_length,
    "done_late": _late_end,
}
"""Faults that break a unary answer."""
