"""What the header blocks of a response say that matters to a call."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from engines.grpc.api import Code
from engines.grpc.http2.frames import MAX_HEADERS, ErrorCode, Violation
from engines.grpc.http2.status import Ending, of_http, of_trailers

KEPT_BLOCKS = 256
KEPT_SIZE = 512
"""Bytes of a header block whose meaning is still remembered: longer ones hold words that do not come again."""


class Head(NamedTuple):
    """One header block. `http` is None in trailers, `ending` where no `grpc-status` is given."""

    http: int | None
    is_grpc: bool
    ending: Ending | None


TOO_LONG = Head(None, is_grpc=False, ending=Ending(Code.INTERNAL, "the server sent too long a list of headers"))


class Heads:
    """Reads header blocks. As the table is empty for good, one serves all connections."""

    def __init__(self) -> None:
        from hpack import Decoder, HPACKError, OversizedHeaderListError  # only who speaks gRPC pays for it

        self._decoder = Decoder(max_header_list_size=MAX_HEADERS)
        self._decoder.header_table_size = self._decoder.max_allowed_table_size = 0
        self._too_long = OversizedHeaderListError
        self._unreadable = HPACKError
        self._known: dict[bytes, Head] = {}

    def __repr__(self) -> str:
        return f"<Heads {len(self._known)} known>"

    def read(self, block: bytes) -> Head:
        """Raises Violation: a block that can't be read."""
        head = self._known.get(block)
        if head is None:
            try:
                head = _head(self._decoder.decode(block, raw=True))
            except self._too_long:
                return TOO_LONG
            except self._unreadable as error:
                raise Violation(ErrorCode.COMPRESSION_ERROR, f"an unreadable header block: {error}") from None
            if len(block) <= KEPT_SIZE:
                if len(self._known) >= KEPT_BLOCKS:
                    self._known.clear()
                self._known[block] = head
        return head


def _head(fields: Iterable[tuple[bytes | str, bytes | str]]) -> Head:
    values = {bytes(name): bytes(value) for name, value in fields}  # type: ignore[arg-type]  # raw ones are bytes
    http = values.get(b":status")
    status = values.get(b"grpc-status")
    return Head(
        None if http is None else int(http) if http.isdigit() and len(http) == 3 else 0,
        values.get(b"content-type", b"").startswith(b"application/grpc"),
        None if status is None else of_trailers(status, values.get(b"grpc-message", b"")),
    )


def refusal(head: Head) -> Ending | None:
    """Why a response that begins like this is none to a call; None if messages may follow."""
    if head.http == 200 and head.is_grpc:
        return None
    if head.ending is not None:
        return head.ending
    if head.http is None or head.http == 200:
        return Ending(Code.INTERNAL, "the server's answer is not gRPC")
    return of_http(head.http)


def conclusion(head: Head, *, first: bool) -> Ending:
    """How a call ended whose last header block is this; `first`: it is also the only one."""
    if head.ending is not None:
        return head.ending
    if first and (ending := refusal(head)) is not None:
        return ending
    return Ending(Code.UNKNOWN, "the server ended the call without a status")
