"""Triton's answers, read out of their bytes by a scan of the few fields that matter.

Building a whole protobuf object of each answer costs more than all else that is done per token. Here only positions
are looked at and, as everything before the outputs' contents repeats in a stream, and but for the id in all streams of
a model, mostly not even those. The generated classes are the oracle in the tests.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

MAX_MEMO = 1024
"""Descriptions of outputs that are remembered; shapes that never repeat must not grow it."""


class Described(NamedTuple):
    """What an answer says of one of its outputs."""

    name: str
    datatype: str
    shape: tuple[int, ...]


class Memo:
    """What the answers of one model have in common, whatever stream they belong to.

    `described` are the outputs' descriptions that have been read before. `opening` is what stands around the request's
    id before the first contents, with the outputs; `ending` the same of an empty final answer.
    """

    __slots__ = ("described", "ending", "opening")

    def __init__(self) -> None:
        self.described: dict[bytes, Described] = {}
        self.opening: tuple[bytes, bytes, Sequence[Described]] | None = None
        self.ending: tuple[bytes, bytes] | None = None

    def __repr__(self) -> str:
        return f"<Memo of {len(self.described)} outputs>"


class Answers:
    """Reads the answers of one stream: `error`, `final`, and the outputs' contents by name.

    `expected` are the datatypes that outputs must have, by name; others may have any. `memo` is shared by the streams
    of one model, `request` is the id of this one.
    """

    __slots__ = (
        "_ending",
        "_expected",
        "_memo",
        "_names",
        "_prefix",
        "_raw",
        "_request",
        "_seen",
        "described",
        "error",
        "final",
    )

    def __init__(self, expected: Mapping[str, str], memo: Memo, request: str = "") -> None:
        self._expected = expected
        self._memo = memo
        self._request = request.encode()
        self._prefix = b""  # of an answer: all between its length and its first contents
        self._ending = b""  # all of the last one but its length
        self._names: tuple[str, ...] = ()
        self._raw: list[bytes] = []
        self._seen: list[Described] = []
        self.described: Sequence[Described] = ()
        self.error = ""
        self.final = False
        if request and memo.opening is not None:
            before, after, self.described = memo.opening
            self._names = tuple([output.name for output in self.described])
            self._prefix = before + self._request + after
        if request and memo.ending is not None:
            self._ending = self._request.join(memo.ending)

    def __repr__(self) -> str:
        return f"<Answers {'error' if self.error else 'final' if self.final else 'open'}, outputs {self._names}>"

    def read(self, message: bytes) -> dict[str, bytes]:
        """The outputs of the next answer. Raises ValueError for bytes that are none, or not what is expected."""
        try:
            if self._prefix and message[:1] == b"\x12":
                inner = 2  # after the tag and the length
                while message[inner - 1] > 0x7F:
                    inner += 1
                if message.startswith(self._prefix, inner):
                    outputs = self._read_contents(message, inner, inner + len(self._prefix))
                    if outputs is not None:
                        return outputs
            if self._ending and self._is_ending(message):
                self.error, self.final, self.described, self._prefix = "", True, (), b""
                return {}
            return self._read_any(message)
        except IndexError:
            raise ValueError("The message is cut.") from None

    def _read_contents(self, message: bytes, inner: int, at: int) -> dict[str, bytes] | None:
        """What each output holds, if from `at` on there is that, in order, and nothing else; otherwise None."""
        end = len(message)
        if _varint(message, 1) != (end - inner, inner):
            return None
        outputs: dict[str, bytes] = {}
        for name in self._names:
            if at >= end or message[at] != _CONTENT:
                return None
            length = message[at + 1]
            at += 2
            if length > 0x7F:
                length, at = _varint(message, at - 1)
            outputs[name] = message[at : at + length]
            at += length
        return outputs if at == end else None

    def _is_ending(self, message: bytes) -> bool:
        start = len(message) - len(self._ending)
        return (
            message.endswith(self._ending)
            and message[:1] == b"\x12"
            and _varint(message, 1) == (len(self._ending), start)
        )

    def _learn(self, message: bytes, inner: int, first: int) -> None:
        """What will repeat of a good answer; `inner` is where its response begins, `first` its contents, 0 without."""
        if first:
            if not self.final and self._read_contents(message, inner, first) is not None:
                self._prefix = message[inner:first]
                around = self._prefix.split(self._request) if self._request else ()
                if len(around) == 2:
                    self._memo.opening = around[0], around[1], self.described
        elif self.final and self._request and _varint(message, 1) == (len(message) - inner, inner):
            around = message[inner:].split(self._request)
            if len(around) == 2:
                self._memo.ending = around[0], around[1]

    def _read_any(self, message: bytes) -> dict[str, bytes]:
        self.error = ""
        self.final = False
        self._seen = []
        self._raw = []
        self._prefix = b""
        inner = first = 0
        for field, at, end in _fields(message, 0, len(message)):
            if field == _ERROR:
                self.error = message[at:end].decode()
            elif field == _RESPONSE:
                inner, first = at, self._read_response(message, at, end)
        self.described = self._seen
        self._names = tuple([output.name for output in self._seen])
        if len(self._names) != len(self._raw):
            raise ValueError("Outputs without contents, or contents of no output.")
        outputs = dict(zip(self._names, self._raw, strict=True))
        if len(outputs) != len(self._raw):
            raise ValueError("An output came twice.")
        if inner and not self.error:
            self._learn(message, inner, first)
        return outputs

    def _read_response(self, message: bytes, at: int, end: int) -> int:
        """Returns where the first contents begin, with their tag; 0 if there are none."""
        first = 0
        here = at
        for field, start, stop in _fields(message, at, end):
            if field == _CONTENT:
                first = first or here
                self._raw.append(message[start:stop])
            elif field == _OUTPUT:
                self._seen.append(self._describe(message[start:stop]))
            elif field == _PARAMETER:
                self._read_parameter(message, start, stop)
            here = stop
        return first

    def _read_parameter(self, message: bytes, at: int, end: int) -> None:
        name, value = b"", (0, 0)
        for field, start, stop in _fields(message, at, end):
            if field == _NAME:
                name = message[start:stop]
            elif field == _VALUE:
                value = start, stop
        if name == b"triton_final_response":
            self.final = False
            for field, start, _stop in _fields(message, *value):
                self.final = field == _BOOL and _varint(message, start)[0] != 0

    def _describe(self, encoded: bytes) -> Described:
        known = self._memo.described
        described = known.get(encoded)
        if described is None:
            described = _described(encoded)
            if len(known) < MAX_MEMO:
                known[encoded] = described
        expected = self._expected.get(described.name, described.datatype)
        if expected != described.datatype:
            raise ValueError(f"{described.name} has the datatype {described.datatype} in place of {expected}.")
        return described


# Tags: the number of a field, and how it is encoded (0 varint, 1 eight bytes, 2 with a length, 5 four bytes).
_ERROR, _RESPONSE = 0x0A, 0x12
_PARAMETER, _OUTPUT, _CONTENT = 0x22, 0x2A, 0x32
_NAME, _VALUE, _BOOL = 0x0A, 0x12, 0x08
_DATATYPE, _SHAPE, _ONE_DIMENSION = 0x12, 0x1A, 0x18


def _described(encoded: bytes) -> Described:
    name = datatype = ""
    shape: list[int] = []
    for field, at, end in _fields(encoded, 0, len(encoded)):
        if field == _NAME:
            name = encoded[at:end].decode()
        elif field == _DATATYPE:
            datatype = encoded[at:end].decode()
        elif field in (_SHAPE, _ONE_DIMENSION):
            here = at
            while here < end:
                dimension, here = _varint(encoded, here)
                if here > end:
                    raise ValueError("A shape is cut.")
                shape.append(dimension - (1 << 64) if dimension >> 63 else dimension)
    return Described(name, datatype, tuple(shape))


def _fields(message: bytes, at: int, end: int) -> Iterable[tuple[int, int, int]]:
    """Tag, begin and end of each field's value, of those encoded with a length without it."""
    while at < end:
        tag, at = _varint(message, at)
        kind = tag & 7
        if kind == 2:
            length, at = _varint(message, at)
            stop = at + length
        elif kind == 0:
            stop = _varint(message, at)[1]
        elif kind in (1, 5):
            stop = at + (8 if kind == 1 else 4)
        else:
            raise ValueError("No such encoding.")
        if stop > end or tag < 8:
            raise ValueError("The message is cut.")
        yield tag, at, stop
        at = stop


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """A number and where it ends. Raises IndexError, or ValueError for one of more than 64 bits."""
    byte = message[at]
    if byte < 0x80:
        return byte, at + 1
    number, shift = byte & 0x7F, 7
    while shift < 70:
        at += 1
        byte = message[at]
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number & (1 << 64) - 1, at + 1
        shift += 7
    raise ValueError("A number without an end.")
