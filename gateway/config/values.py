"""Kinds of values that settings take, each with what it refuses."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, Field, PlainSerializer

from engines.units import SIZE


def _word(value: str) -> str:
    if not re.fullmatch(r"[\x21-\x7e]{1,128}", value):
        msg = "takes 1 to 128 printable ASCII characters without spaces"
        raise ValueError(msg)
    return value


def _name(value: str) -> str:
    if "@" in value:
        msg = "takes no @: callers write it between a model's name and a version's"
        raise ValueError(msg)
    return value


def _version(value: str) -> str:
    if ":" in value:
        msg = "takes no colon: it stands before the name of an adapter"
        raise ValueError(msg)
    return value


def _key_id(value: str) -> str:
    if value.startswith("sk-"):
        msg = "takes the id of a key, never the key"
        raise ValueError(msg)
    return value


def _routing_header(value: str) -> str:
    is_ours = value in _NO_ROUTING or value.startswith(("x-stainless-", "x-forwarded-"))
    if is_ours or not re.fullmatch(r"x-[a-z0-9_-]{1,64}", value):
        msg = "takes the name of a header of your own, in small letters after x-, as in x-ring"
        raise ValueError(msg)
    return value


def _header_value(value: str) -> str:
    if not re.fullmatch(r"[\x21-\x7e](?:[\x20-\x7e]{0,254}[\x21-\x7e])?", value):
        msg = "takes 1 to 256 printable ASCII characters, none of them a space at either end"
        raise ValueError(msg)
    return value


def _printable(value: str) -> str:
    if not value.isprintable():
        msg = "takes printable characters only"
        raise ValueError(msg)
    return value


def _host(value: str) -> str:
    """What can't be one at all would fail deep inside of a server's start; whether it is there is found then."""
    try:
        value.encode("idna")  # as a look-up does
    except UnicodeError:
        value = " "
    if re.search(r"[\s\0]", value):
        msg = "takes an address or a host's name"
        raise ValueError(msg)
    return value


def _some(value: tuple[Any, ...]) -> tuple[Any, ...]:
    if not value:
        msg = "takes a list with at least one entry"
        raise ValueError(msg)
    return value


_NO_ROUTING = frozenset({
    "x-client-request-id", "x-request-id", "x-request-timeout-ms", "x-session-id", "x-priority", "x-real-ip"
})  # fmt: skip
"""Headers that have a meaning already."""

SOME = AfterValidator(_some)
"""For lists that can't be empty; pydantic's own length is told along with every mistake in an entry."""
Word = Annotated[str, AfterValidator(_word)]
Name = Annotated[Word, AfterValidator(_name)]
VersionName = Annotated[Name, AfterValidator(_version)]
KeyId = Annotated[Word, AfterValidator(_key_id)]
RoutingHeader = Annotated[str, AfterValidator(_routing_header)]
HeaderValue = Annotated[str, AfterValidator(_header_value)]
Printable = Annotated[str, AfterValidator(_printable)]
Host = Annotated[str, AfterValidator(_host)]
Port = Annotated[int, Field(ge=0, le=65535)]
Bytes = Annotated[int, Field(ge=1024, le=1 << 34), SIZE]

IN_FIGURES = PlainSerializer(lambda number: f"{number:f}", str, when_used="json")
"""How decimals are told: as our own schema takes them, never as 1E+9."""
