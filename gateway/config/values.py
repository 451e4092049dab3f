"""Kinds of values that settings take, each with what it refuses."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from engines.units import SIZE


def _name(value: str) -> str:
    if not re.fullmatch(r"[\x21-\x7e]{1,128}", value):
        msg = "takes 1 to 128 printable ASCII characters without spaces"
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


Name = Annotated[str, AfterValidator(_name)]
Printable = Annotated[str, AfterValidator(_printable)]
Host = Annotated[str, AfterValidator(_host)]
Port = Annotated[int, Field(ge=0, le=65535)]
Bytes = Annotated[int, Field(ge=1024, le=1 << 34), SIZE]
