"""Guards uvicorn's upgrades: the front door is built on methods that uvicorn does not promise to keep."""

from __future__ import annotations

import inspect
import re
from importlib import metadata
from pathlib import Path

from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.admin.protocol import AdminProtocol
from gateway.front_door import FrontDoor
from gateway.turns import Turns
from tests.architecture import tree

OVERRIDDEN = {
    "__init__",
    "_start_asgi_task",
    "connection_lost",
    "connection_made",
    "data_received",
    "eof_received",
    "on_body",
    "on_header",
    "on_headers_complete",
    "on_message_begin",
    "on_message_complete",
    "on_response_complete",
    "resume_writing",
    "shutdown",
}


def test_uvicorn_still_calls_what_the_front_door_overrides() -> None:
    """A method that uvicorn renames would leave its override behind, never called and missed by no one."""
    ours = {**vars(Turns), **vars(FrontDoor)}
    methods = {name for name, value in ours.items() if inspect.isfunction(value)}
    assert {name for name in methods if name in vars(HttpToolsProtocol)} == OVERRIDDEN


def test_uvicorn_still_calls_what_the_admin_listener_overrides() -> None:
    methods = {name for name, value in vars(AdminProtocol).items() if inspect.isfunction(value)}
    ours = {"__repr__", "_begin_turn", "_refuse"}
    assert methods - ours <= set(vars(H11Protocol))
    assert {
        "connection_lost",
        "connection_made",
        "data_received",
        "on_response_complete",
        "send_400_response",
        "shutdown",
    } == methods - ours


def test_the_installed_uvicorn_is_the_one_it_was_built_on() -> None:
    pin = re.search(r'"uvicorn==([^"]+)"', tree.text(Path("pyproject.toml")))
    assert pin is not None
    assert metadata.version("uvicorn") == pin[1]
