"""Beyond this machine the admin listener takes certificates of both sides, and a key all the same."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.flows.admin.conftest import Administration, administration
from tests.support.certificates import Pair, client, localhost
from tests.support.envelopes import enveloped
from tests.support.raw import RawClient
from tests.support.stored import KeyBook


@pytest.fixture
def tls(tmp_path: Path) -> dict[str, str]:
    contents = {"certificate": localhost().certificate, "key": localhost().key, "clients": client().certificate}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    return {name: str(tmp_path / name) for name in contents}


@pytest.fixture
def beyond(book: KeyBook, tls: dict[str, str]) -> Iterator[Administration]:
    """On all addresses."""
    with administration(book, host="0.0.0.0", tls=tls) as admin:
        yield admin


def whoami(admin: Administration, shown: Pair | None, folder: Path, key: str | None) -> httpx2.Response:
    context = ssl.create_default_context(cadata=localhost().certificate.decode())
    if shown:
        (folder / "shown.pem").write_bytes(shown.key + shown.certificate)
        context.load_cert_chain(folder / "shown.pem")
    headers = {"authorization": f"Bearer {key}"} if key else {}
    with httpx2.Client(verify=context, trust_env=False) as visitor:
        return visitor.get(f"https://localhost:{admin.port}/v1/whoami", headers=headers)


def test_it_takes_a_certificate_and_a_key(beyond: Administration, tmp_path: Path) -> None:
    key = beyond.keys["viewer"].text
    assert whoami(beyond, client(), tmp_path, key).json()["role"] == "viewer"
    enveloped(whoami(beyond, client(), tmp_path, None), 401, "invalid_api_key")
    for shown in (None, localhost()):
        with pytest.raises(httpx2.TransportError):
            whoami(beyond, shown, tmp_path, key)


def test_plain_http_gets_no_answer(beyond: Administration) -> None:
    with pytest.raises(httpx2.TransportError):
        beyond.client().get("/v1/whoami")


def test_who_never_says_who_it_is_is_cut(book: KeyBook, tls: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.admin.listener.HANDSHAKE", 0.5)
    with (
        administration(book, host="0.0.0.0", tls=tls) as admin,
        RawClient(f"http://127.0.0.1:{admin.port}") as silent,
    ):
        assert silent.rest() in {(b"", "eof"), (b"", "reset")}
