"""Where a key comes from: the environment or a file, and never a place that other users of the machine can read."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from tests.support.command_line import complaint, snowshed
from tests.support.gateway import ROOT, configuration, running_gateway
from tests.support.waiting import PATIENCE

KEY = "sk-snow-canary-7c21"


def authorization(*arguments: str, **more: str) -> str:
    """The header line that `snowshed models` sends; "" without one."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        heard: list[bytes] = []

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                heard.append(connection.recv(65536))
                connection.sendall(b'HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\n{"data": []}')

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        more["SNOWSHED_URL"] = f"http://127.0.0.1:{server.getsockname()[1]}"
        ended = snowshed("models", *arguments, given=b"", **more)
        thread.join(PATIENCE)
    assert KEY not in ended.stdout + ended.stderr
    lines = heard[0].decode().lower().split("\r\n")
    return next((line for line in lines if line.startswith("authorization:")), "")


def test_without_a_key_none_is_sent() -> None:
    assert authorization() == ""


def test_a_key_comes_from_the_environment() -> None:
    assert authorization(SNOWSHED_API_KEY=KEY) == f"authorization: bearer {KEY}"


def test_a_file_with_a_key_comes_first(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(f"{KEY}\n")
    assert authorization("--key-file", str(file), SNOWSHED_API_KEY="another") == f"authorization: bearer {KEY}"


@pytest.mark.parametrize("content", [b"two words", b"two\nlines", "schlüssel".encode(), b"\x00"])
def test_what_is_no_key_is_a_mistake_that_is_not_repeated(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "key"
    file.write_bytes(content)
    said = complaint(snowshed("models", "--key-file", str(file)), 2)
    assert "key" in said
    assert "two" not in said


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    file = tmp_path / "absent"
    assert complaint(snowshed("models", "--key-file", str(file)), 2) == f"{file}: No such file or directory"


def test_a_gateway_behind_tls_is_known_by_its_certificate() -> None:
    certificate = ROOT / "tests/support/localhost.pem"
    with running_gateway(configuration(), tls=certificate) as gateway:
        url = f"https://localhost:{gateway.port}"
        trusting = snowshed("models", SNOWSHED_URL=url, SSL_CERT_FILE=str(certificate))
        assert (trusting.returncode, "mock" in trusting.stdout) == (0, True), trusting.stderr
        assert "certificate verify failed" in complaint(snowshed("models", SNOWSHED_URL=url), 1)
