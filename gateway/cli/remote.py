"""A running gateway, asked over HTTP: what goes wrong is told in a sentence."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import SplitResult, urlsplit

import click

from gateway.cli.trouble import Mistake, Trouble

QUIET_SECONDS = 300
"""A gateway that has said nothing for so long, no keep-alive comment either, is given up."""

Wrapped = TypeVar("Wrapped", bound=Callable[..., Any])


@dataclass(slots=True, frozen=True)
class Listener:
    """One of a gateway's, in words for people: its usual address, what names another one, and why it may be absent."""

    url: str
    option: str
    key_variable: str
    absent: str


PUBLIC = Listener("http://127.0.0.1:8080", "--url", "SNOWSHED_API_KEY", "start one (snowshed serve)")


class Remote:
    """The gateway at `url` (scheme, host, port; a path in front of /v1 is kept), asked with `key`, if there is one.

    `certificate`: a PEM file with the one to show, and its key. Raises Mistake.
    """

    def __init__(self, url: str, key: str, listener: Listener = PUBLIC, certificate: Path | None = None) -> None:
        parts = _parts(url, listener)
        self.url = url.rstrip("/")
        self._listener = listener
        self._tls = _tls(certificate) if parts.scheme == "https" else None
        self._host, self._port = parts.hostname or "", parts.port
        self._base = parts.path.rstrip("/").removesuffix("/v1")
        self._headers = {"authorization": f"Bearer {key}"} if key else {}

    def __repr__(self) -> str:
        return f"<Remote {self.url} {'with' if self._headers else 'without'} a key>"

    def get(self, path: str) -> Any:
        """The JSON document at `path`. Raises Trouble."""
        return self.send("GET", path)

    def send(self, method: str, path: str, body: Any = None) -> Any:
        """The JSON document that is the answer. Raises Trouble."""
        with self.answer(method, path, body) as response:
            try:
                return json.loads(response.read())
            except ValueError:
                raise Trouble(f"What answers at {self.url} is no Snowshed: {path} is not JSON there.") from None

    @contextmanager
    def answer(self, method: str, path: str, body: Any = None) -> Iterator[http.client.HTTPResponse]:
        """A response that is a success, to be read; leaving the block closes the connection. Raises Trouble."""
        connection = self._connection()
        headers = self._headers | ({"content-type": "application/json"} if body is not None else {})
        try:
            connection.request(method, self._base + path, None if body is None else json.dumps(body), headers)
            with connection.getresponse() as response:
                if response.status not in (HTTPStatus.OK, HTTPStatus.CREATED):
                    raise Trouble(_complaint(response, self._listener))
                yield response
        except ConnectionRefusedError:
            other = f"or say {self._listener.option}"
            raise Trouble(f"No gateway answers at {self.url}: {self._listener.absent}, {other}.") from None
        except TimeoutError:
            raise Trouble(f"The gateway at {self.url} is silent.") from None
        except http.client.HTTPException as error:
            raise Trouble(f"The gateway at {self.url} broke off: {type(error).__name__}.") from None
        except OSError as error:
            raise Trouble(f"The gateway at {self.url} can't be asked: {error.strerror or error}.") from None
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        if self._tls:
            return http.client.HTTPSConnection(self._host, self._port, timeout=QUIET_SECONDS, context=self._tls)
        return http.client.HTTPConnection(self._host, self._port, timeout=QUIET_SECONDS)


def _tls(certificate: Path | None) -> ssl.SSLContext:
    """Raises Mistake."""
    context = ssl.create_default_context()
    try:
        if certificate is not None:
            context.load_cert_chain(certificate)
    except OSError as error:  # SSLError is one, too
        raise Mistake(f"{certificate}: {error.strerror or 'holds no certificate with its key'}") from None
    return context


def _parts(url: str, listener: Listener) -> SplitResult:
    """Raises Mistake."""
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").encode("idna")  # as the look-up will write it
        if host and parts.port != 0 and parts.scheme in {"http", "https"} and "@" not in parts.netloc and url.isascii():
            return parts
    except ValueError:
        pass
    raise Mistake(f"{listener.option} takes an address like {listener.url}, and a key elsewhere: see --key-file.")


def told(error: Any) -> str:
    """OpenAI's error object as a sentence, with its code."""
    if not isinstance(error, dict) or not isinstance(error.get("message"), str):
        return "The gateway reports an error that it does not explain."
    return f"{error['message']} ({error['code']})" if error.get("code") else error["message"]


def _complaint(response: http.client.HTTPResponse, listener: Listener) -> str:
    try:
        document = json.loads(response.read())
    except ValueError:
        document = None
    if not isinstance(document, dict) or "error" not in document:
        return f"What answers there is no Snowshed: it says {response.status} {response.reason}."
    error = document["error"]
    hints = {
        "model_not_found": "Those that are: snowshed models",
        "unknown_url": f"{listener.option} takes an address like {listener.url}.",
    }
    hint = hints.get(str(error.get("code"))) if isinstance(error, dict) else None
    if response.headers.get("www-authenticate", "").startswith("Bearer"):
        hint = f"Give one by ${listener.key_variable} or --key-file."
    return f"{told(error)} {hint}" if hint else told(error)


def remote_options(command: Wrapped) -> Wrapped:
    """`--url` and `--key-file`; the command gets them as `url` and `key_file`, for `remote`."""
    url = click.option(
        "--url", envvar="SNOWSHED_URL", default=PUBLIC.url, show_default=True, show_envvar=True, metavar="URL",
        help="The gateway's address.",
    )  # fmt: skip
    key = click.option(
        "--key-file", type=click.Path(path_type=Path), metavar="FILE",
        help="A file with the API key; without one, $SNOWSHED_API_KEY. Arguments could be read in the process list.",
    )  # fmt: skip
    return url(key(command))


def remote(url: str, key_file: Path | None, key: str) -> Remote:
    """The gateway that the options and the environment's `key` name. Raises Mistake."""
    return Remote(url, key_of(key_file, key))


def key_of(file: Path | None, key: str) -> str:
    """What the file holds, or without one `key`. Raises Mistake."""
    if file is not None:
        try:
            key = file.read_text(encoding="ascii")
        except OSError as error:
            raise Mistake(f"{file}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise Mistake(f"{file}: a key is ASCII") from None
    key = key.strip()
    if not key.isascii() or not key.isprintable() or " " in key:
        raise Mistake("The API key holds characters that no key has.")
    return key
