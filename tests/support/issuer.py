"""An OIDC issuer on a real socket of this machine: its discovery document, its keys, and the ways in which it fails."""

from __future__ import annotations

import json
import ssl
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.support.signing import AUDIENCE, SigningKey, claims
from tests.support.waiting import PATIENCE

REALM = "/realms/ml"
DISCOVERY, JWKS = f"{REALM}/.well-known/openid-configuration", f"{REALM}/keys"


@dataclass(slots=True)
class Answer:
    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


class TokenIssuer:
    """`asked` counts requests by path; `answers` are given in place of what it would say; `silence` answers nobody.

    `tls`: a file with a key and its certificate, to serve HTTPS.
    """

    def __init__(self, tls: Path | None = None) -> None:
        self._tls = tls
        self.keys = [SigningKey()]
        self.asked: Counter[str] = Counter()
        self.answers: dict[str, Answer] = {}
        self.silence = False
        self._over = threading.Event()
        self._port = 0
        self.start()

    def __repr__(self) -> str:
        return f"<TokenIssuer {self.url}, asked {self.asked.total()} times>"

    @property
    def url(self) -> str:
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self._port}{REALM}"

    def start(self) -> None:
        """At the address that it had."""
        self._over.clear()
        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), _answering(self))
        self._port = self._server.server_port
        if self._tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self._tls)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(PATIENCE)

    def token(self, **others: Any) -> str:
        """Good for five minutes, signed with the newest key."""
        return self.keys[-1].sign(claims(**{"iss": self.url, **others}))

    def options(self, **others: Any) -> dict[str, Any]:
        """The section `auth.jwt` that trusts it."""
        return {"issuer": self.url, "audiences": [AUDIENCE], "claims": {"tenant": "org"}, **others}

    def answer(self, path: str) -> Answer:
        self.asked[path] += 1
        if self.silence:
            self._over.wait(PATIENCE)
        ours: dict[str, Any] = {
            DISCOVERY: {"issuer": self.url, "jwks_uri": self.url + "/keys"},
            JWKS: {"keys": [key.jwk() for key in self.keys]},
        }
        if path in self.answers:
            return self.answers[path]
        return Answer(json.dumps(ours[path]).encode()) if path in ours else Answer(status=404)


def _answering(issuer: TokenIssuer) -> type[BaseHTTPRequestHandler]:
    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # the name that http.server looks for
            answer = issuer.answer(self.path)
            self.send_response(answer.status)
            for name, value in {"content-length": str(len(answer.body)), **answer.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # as the library has it
            """Nobody reads it."""

    return Answering


@contextmanager
def token_issuer(tls: Path | None = None) -> Iterator[TokenIssuer]:
    issuer = TokenIssuer(tls)
    try:
        yield issuer
    finally:
        issuer.stop()
