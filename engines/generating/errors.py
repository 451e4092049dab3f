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
Sign = Callable[[str], object]
"""Whether a message says something: true where it does."""

END = 1024
"""Characters that are read from each end of a message: what is between may be a caller's, thousands of them."""
NEAR = 80
"""Characters between two words that belong together."""


def refused(error: RpcError, kind: Kind, seconds: float) -> EngineError:
    """A call that ended with another status than OK; `seconds` is how long it was allowed to take."""
    if error.code is Code.DEADLINE_EXCEEDED:
        return TimedOut("total", seconds)
    verdict = _by_words(error.details)
    if verdict is None and error.code is Code.UNAVAILABLE and BROKEN.search(error.details):
        verdict = _died
    return (verdict or CODES.get(error.code, _failed))(kind)


def reported(text: str, kind: Kind) -> EngineError:
    """An error inside a stream, which has no code."""
    return (_by_words(text) or _failed)(kind)


def _by_words(text: str) -> Verdict | None:
    said = _telling(text)
    return next((verdict for says, verdict in TABLE if says(said)), None)


def _telling(text: str) -> str:
    """Both ends of a message; of a traceback those of its last words, as lines of code would be taken for them."""
    text = _ends(text, 8 * END)
    lines = text.splitlines()
    if any(line.startswith("Traceback (most recent call last)") for line in lines) or text.count('  File "') > 1:
        shown = max((at for at, line in enumerate(lines) if line.startswith("  ")), default=-1)
        text = "\n".join(lines[shown + 1 :])
    return _ends(text, END)


def _ends(text: str, size: int) -> str:
    return text if len(text) <= 2 * size else f"{text[:size]}\n{text[-size:]}"


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


def _line(pattern: str, verdict: Verdict) -> tuple[Sign, Verdict]:
    return re.compile(pattern, re.IGNORECASE).search, verdict


def _near(word: str, other: str, verdict: Verdict, *, before: int = NEAR, after: int = 0) -> tuple[Sign, Verdict]:
    """`word`, and `other` up to so many characters before or after it.

    One pattern for both would try each of those many characters anew wherever it finds its first half.
    """
    return partial(_are_near, re.compile(word, re.IGNORECASE), re.compile(other, re.IGNORECASE), before, after), verdict


def _are_near(word: re.Pattern[str], other: re.Pattern[str], before: int, after: int, said: str) -> bool:
    return any(
        other.search(line, max(0, found.start() - before), found.start())
        or other.search(line, found.end(), found.end() + after)
        for line in said.splitlines()
        for found in word.finditer(line)
    )


_WRONG = r"\b(?:must|invalid|should|out of range|not (?:supported|allowed)|requested value|exceeds?)\b"


def _about(name: str, param: str) -> tuple[Sign, Verdict]:
    """A complaint about a sampling parameter, before or after its name."""
    return _near(rf"(?<![a-z])(?:{name})(?![a-z])", _WRONG, _bad(param), after=NEAR)


TABLE: Sequence[tuple[Sign, Verdict]] = (
    _line("exceeds maximum queue size|request timeout expired", _overloaded),
    _line("max(imum)? queue size (is )?(reached|exceeded)|too many (pending|active|queued) requests", _overloaded),
    _line("queue (is )?full|out of (gpu |device )?memory|no free (slots|blocks)", _overloaded),
    _line("has no available versions|is not ready|not yet ready|unloading|shutting down|draining", _elsewhere),
    _near("not found|not in|evict|missing|required|not exist|no such|please send|fail", "lora", _no_adapter),
    _line("unknown model|version \\S+ is not found", _unknown),
    _near("not found", "model ", _unknown, before=300),
    _line("request (was )?cancell?ed", _cancelled),
    _line("unexpected (inference )?(input|output|data-?type|shape)|data-type is|byte size", _misunderstood),
    _line("expected (number of|\\d+|\\[.{1,80}) (inputs?|string elements)|streaming is only supported", _misunderstood),
    _line("exceeds (the )?max(imum)? (input|sequence|context|prompt)|max_(input|seq)_?len|max_num_tokens", _too_long),
    _near("exceed|longer|greater|too long", "(prompt|input|sequence|context)[ _]?(token )?(length|is)", _too_long),
    _near("guide|grammar|schema|regex|ebnf", "invalid|fail|error|(un|not )supported", _bad_guide, after=200),
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
    _near("not healthy|dead|exit", "stub process ", _died),
    _line("connection refused|failed to connect", _away),
)  # fmt: skip
"""Words, found anywhere in the ends of a message, and what they mean."""

BROKEN = re.compile(
    "connection to the server broke|connection reset|socket closed|broken pipe|unexpected eof", re.IGNORECASE
)
"""What a transport, and not the server, says of a connection that broke under a call."""

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
