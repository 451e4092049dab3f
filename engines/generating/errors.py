"""What a refusal of a server means: by its code, and by its words, as every mistake may come as INTERNAL or uncoded.

The first line of `TABLE` that fits decides. The words are the server's, with paths and tracebacks in them: none of
them reaches a client, who is told in ours.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial

from engines.api import SUBJECTS, EngineError, Failed, Kind, Overloaded, Rejected, TimedOut, Unreachable
from engines.grpc.api import Code, RpcError

Verdict = Callable[[Kind], EngineError]


def refused(error: RpcError, kind: Kind, seconds: float) -> EngineError:
    """A call that ended with another status than OK; `seconds` is how long it was allowed to take."""
    if error.code is Code.DEADLINE_EXCEEDED:
        return TimedOut("total", seconds)
    verdict = _by_words(error.details)
    return verdict(kind) if verdict else CODES.get(error.code, _failed)(kind)


def reported(text: str, kind: Kind) -> EngineError:
    """An error inside a stream, which has no code."""
    return (_by_words(text) or _failed)(kind)


def _by_words(text: str) -> Verdict | None:
    said = _last_words(text)
    return next((verdict for pattern, verdict in TABLE if pattern.search(said)), None)


def _last_words(text: str) -> str:
    """What a traceback ends with: the lines of code before it would be taken for the message."""
    lines = text[-8192:].splitlines()
    if any(line.startswith("Traceback (most recent call last)") for line in lines) or text.count('  File "') > 1:
        shown = max((at for at, line in enumerate(lines) if line.startswith("  ")), default=-1)
        lines = lines[shown + 1 :]
    return "\n".join(lines)


def _says(error: Callable[[str], EngineError], message: str) -> Verdict:
    return lambda _kind: error(message)


_overloaded = _says(Overloaded, "The model server has too much to do.")
_elsewhere = _says(Unreachable, "The model is not ready on this server.")
_away = _says(Unreachable, "The model server could not be reached.")
_died = _says(partial(Unreachable, died=True), "The model server broke down.")
_failed = _says(Failed, "The model server failed.")
_misunderstood = _says(Failed, "The model server does not take requests of the configured form.")
_unknown = _says(Failed, "The model server does not know the model.")
_forbidden = _says(Failed, "The model server does not let us in.")
_no_adapter = _says(Failed, "The model server does not hold the adapter.")
_cancelled = _says(Failed, "The model server cancelled the request.")
_bad_guide = _says(
    partial(Rejected, param="response_format", code="invalid_value"), "The model server can't follow this format."
)


def _too_long(kind: Kind) -> EngineError:
    message = "The prompt, or the prompt with the answer asked for, is longer than the model can take."
    return Rejected(message, param=SUBJECTS[kind], code="context_length_exceeded")


def _bad(param: str) -> Verdict:
    message = f"The model server does not take this value of '{param}'."
    return _says(partial(Rejected, param=param, code="invalid_value"), message)


def _line(pattern: str, verdict: Verdict) -> tuple[re.Pattern[str], Verdict]:
    return re.compile(pattern, re.IGNORECASE), verdict


_WRONG = r"\b(?:must|invalid|should|out of range|not (?:supported|allowed)|requested value|exceeds?)\b"


def _about(name: str, param: str) -> tuple[re.Pattern[str], Verdict]:
    """A complaint about a sampling parameter, before or after its name."""
    named = rf"(?<![a-z]){name}(?![a-z])"
    return _line(rf"{named}.{{0,80}}{_WRONG}|{_WRONG}.{{0,80}}{named}", _bad(param))


TABLE: Sequence[tuple[re.Pattern[str], Verdict]] = (
    _line("exceeds maximum queue size|request timeout expired", _overloaded),
    _line("max(imum)? queue size (is )?(reached|exceeded)|too many (pending|active|queued) requests", _overloaded),
    _line("queue (is )?full|out of (gpu |device )?memory|no free (slots|blocks)", _overloaded),
    _line("has no available versions|is not ready|not yet ready|unloading|shutting down|draining", _elsewhere),
    _line("lora.{0,80}(not found|not in|evict|missing|required|not exist|no such|please send|fail)", _no_adapter),
    _line("unknown model|version \\S+ is not found|model .{0,300}not found", _unknown),
    _line("request (was )?cancell?ed", _cancelled),
    _line("unexpected (inference )?(input|output|data-?type|shape)|data-type is|byte size", _misunderstood),
    _line("expected (number of|\\d+|\\[.*) (inputs?|string elements)|streaming is only supported", _misunderstood),
    _line("exceeds (the )?max(imum)? (input|sequence|context|prompt)|max_(input|seq)_?len|max_num_tokens", _too_long),
    _line("(prompt|input|sequence|context)[ _]?(token )?(length|is).{0,80}(exceed|longer|greater|too long)", _too_long),
    _line("(guided|guide|grammar|schema|regex|ebnf).{0,200}(invalid|fail|error|unsupported|not supported)", _bad_guide),
    _line("(invalid|fail\\w*|error|unsupported).{0,80}(guided|guide|grammar|schema|regex|ebnf)", _bad_guide),
    _about("temperature", "temperature"),
    _about("(?:runtime)?_?top_?p", "top_p"),
    _about("(?:runtime)?_?top_?k", "top_k"),
    _about("min_?p", "min_p"),
    _about("repetition_?penalty", "repetition_penalty"),
    _about("presence_?penalty", "presence_penalty"),
    _about("frequency_?penalty", "frequency_penalty"),
    _about("min_?(?:tokens|length)", "min_tokens"),
    _about("max_?(?:new_?)?tokens|request_output_len", "max_tokens"),
    _about("stop_?words?|sampling_param_stop", "stop"),
    _about("bad_?words?", "bad_words"),
    _about("seed", "seed"),
    _line("stub process .{0,80}(not healthy|dead|exit)", _died),
    _line("connection to the server broke|connection reset|socket closed|broken pipe|unexpected eof", _died),
    _line("connection refused|failed to connect", _away),
)  # fmt: skip
"""Words, found anywhere in a message, and what they mean."""

CODES: dict[Code, Verdict] = {
    Code.UNAVAILABLE: _away,
    Code.NOT_FOUND: _unknown,
    Code.INVALID_ARGUMENT: _misunderstood,  # our tensors: what callers may ask was checked before
    Code.UNIMPLEMENTED: _misunderstood,
    Code.CANCELLED: _cancelled,
    Code.UNAUTHENTICATED: _forbidden,
    Code.PERMISSION_DENIED: _forbidden,
}
"""What a code means where no words tell more; any other is a failure."""
