"""The listeners: whether their ports can be had, or a gateway of ours has them already."""

from __future__ import annotations

import errno
import http.client
import json
import socket
from collections.abc import Callable, Iterator
from typing import Any

from gateway.cli.doctor.finding import Finding
from gateway.config import Config

SECONDS = 5.0
"""For an answer of whatever listens there."""
LARGEST = 1 << 20
"""Bytes of it."""


def look(config: Config) -> Iterator[Finding]:
    """A line per listener, and what a running gateway says of itself."""
    server, ops, admin = config.server, config.ops, config.admin
    yield _port("server", server.host, server.port, lambda: _is_edge(_ask(server.host, server.port, "/v1/models")))
    yield _port("ops", ops.host, ops.port, lambda: running(config))
    if config.auth.kind == "keys":
        yield _port("admin", admin.host, admin.port, lambda: _is_admin(config))
    if ready := _ask(ops.host, ops.port, "/readyz"):
        _, document = ready
        if "ready" in document:
            yield _readiness(document)
            yield from map(_warning, document.get("warnings", ()))


def running(config: Config) -> bool:
    """Whether a gateway of ours listens where this one would."""
    answer = _ask(config.ops.host, config.ops.port, "/livez")
    return answer is not None and "heartbeat_age_s" in answer[1]


def _is_admin(config: Config) -> bool:
    """With TLS it answers nobody without a certificate: then the running gateway has to do for it."""
    admin = config.admin
    return running(config) if admin.tls else _is_edge(_ask(admin.host, admin.port, "/v1/whoami"))


Answer = tuple[http.client.HTTPMessage, dict[str, Any]]


def _port(section: str, host: str, port: int, is_ours: Callable[[], bool]) -> Finding:
    subject = f"{section}.port"
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    if port == 0:
        return Finding("ok", subject, f"{host}, any free port")
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        with socket.create_server(address[:2], family=family):
            return Finding("ok", subject, f"{where} is free")
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            return Finding(
                "wrong", subject, f"{where}: {error.strerror}", f"choose another {section}.host or {subject}"
            )
    if is_ours():
        return Finding("ok", subject, f"{where} is served by a running Snowshed")
    return Finding("wrong", subject, f"{where} is taken by another program", f"stop that, or choose another {subject}")


def _readiness(document: dict[str, Any]) -> Finding:
    if document["ready"]:
        return Finding("ok", "readiness", "the running gateway is ready")
    reasons = "; ".join(map(str, document.get("reasons", ())))
    return Finding("wrong", "readiness", f"the running gateway is not ready: {reasons}", "see the replicas below")


def _warning(words: Any) -> Finding:
    todo = "look into its log for the event that tells more (docs/guides/observability.md#events)"
    return Finding("note", "warning", f"the running gateway warns: {words}", todo)


def _is_edge(answer: Answer | None) -> bool:
    return answer is not None and answer[0].get("x-request-id", "").startswith("req_")


def _ask(host: str, port: int, path: str) -> Answer | None:
    """Headers and JSON object of an answer; None without one."""
    anywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # asked, not bound
    connection = http.client.HTTPConnection(anywhere.get(host, host), port, timeout=SECONDS)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        document = json.loads(response.read(LARGEST))
    except (OSError, ValueError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    return (response.headers, document) if isinstance(document, dict) else None
