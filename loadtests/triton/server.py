"""One Triton server as a child process: started, asked whether it is ready, stopped, killed, and started again."""

from __future__ import annotations

import contextlib
import http.client
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import msgspec

from loadtests.triton import journal
from loadtests.triton.command import HOST, PROGRAM, Ports, environment, words
from loadtests.triton.repository import MODELS, lay_out

_START, _STOP, _ANSWER, _POLL = 120.0, 10.0, 5.0, 0.02
_TAIL, _LAST = 15, 40
"""Lines of the server's log in an error: of the errors in it, and of all where it died; a trace has twenty."""
_SHARED = "/dev/shm"  # noqa: S108 - where Triton keeps what it shares with its models
_GUARD = 'read -r _; kill -KILL "-$1"; rm -f "$2"*'
"""Waits for the end of its input, which is when we want it or die; then nothing of the server stays behind."""


class TritonError(Exception):
    """Why there is no server, or what it refused."""


class TritonServer:
    """A context: the server runs in it, and nothing of it is left after it.

    `models` are loaded at the start, others by `load`. `weights`: the GGUF file of the model `smollm2`, if that is
    wanted. `options`: further words for its command line. Raises `TritonError` where it does not start.
    """

    def __init__(
        self,
        models: Sequence[str] = (),
        *,
        ports: Ports | None = None,
        weights: Path | None = None,
        options: Sequence[str] = (),
    ) -> None:
        self.ports = ports or Ports.free()
        self._models = list(models)
        self._loaded: set[str] = set()
        self._weights = weights
        self._options = list(options)
        self._folder = Path(tempfile.mkdtemp(prefix="triton-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        lay_out(self._folder / "models")

    def __repr__(self) -> str:
        return f"<TritonServer {self.grpc} {f'pid {self.pid}' if self._process else 'not running'}>"

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def grpc(self) -> str:
        """As `host:port`."""
        return f"{HOST}:{self.ports.grpc}"

    @property
    def http(self) -> str:
        """The base of its HTTP addresses."""
        return f"http://{HOST}:{self.ports.http}"

    @property
    def metrics(self) -> str:
        """The address of its metrics."""
        return f"http://{HOST}:{self.ports.metrics}/metrics"

    @property
    def pid(self) -> int:
        assert self._process is not None, "not running"
        return self._process.pid

    @property
    def journal_file(self) -> Path:
        return self._folder / "journal.jsonl"

    @property
    def log_file(self) -> Path:
        return self._folder / "triton.log"

    def start(self) -> None:
        """Start on the same ports as before, and wait until it is ready with its models."""
        if not PROGRAM.exists():
            raise TritonError("There is no Triton server in .triton: run scripts/triton.")
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [*words(self._folder, self.ports, self._models), *self._options],
                env=environment(self.journal_file, self._weights),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a group of its own: the processes of its models are found by it
            )
        guarded = [str(self.pid), f"{_SHARED}/{self._folder.name}"]
        self._guard = subprocess.Popen(
            ["/bin/sh", "-c", _GUARD, "sh", *guarded], stdin=subprocess.PIPE, start_new_session=True
        )
        try:
            self._wait_until_ready()
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """Ask it to end; streams that run may finish. What does not end in time is killed."""
        if self._process is not None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_STOP)
        self.kill()

    def kill(self) -> None:
        """End it and its models' processes at once, as a crash would; and clear away their shared memory."""
        guard, self._guard = self._guard, None
        process, self._process = self._process, None
        self._loaded.clear()
        if guard is not None:
            guard.communicate()  # ends its input
        if process is not None:
            process.kill()  # so has the guard, if it came up and nobody killed it
            process.wait()

    def close(self) -> None:
        """Kill it, and forget its log and journal."""
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def death(self) -> str:
        """How it ended by itself, and what it said last; nothing while it runs, or if we ended it."""
        status = None if self._process is None else self._process.poll()
        if status is None:
            return ""
        how = signal.Signals(-status).name if status < 0 else f"status {status}"
        return "\n".join([f"Triton died ({how}). It said last:", *self.log().splitlines()[-_LAST:]])

    def hang(self) -> str:
        """Which of the models that were loaded does not answer any more, and what the server said last, if one does."""
        asked = {"text_input": "@@tokens=1@@", "max_tokens": 1}
        for model in sorted(self._loaded):
            path = f"/v2/models/{quote(model)}/generate_stream"
            status, answer = self.ask("POST", path, asked, seconds=_ANSWER)
            if status != http.client.OK and b" inputs" not in answer:  # who wants other ones says so
                return "\n".join([f"Triton's model {model} hangs. It said last:", *self.log().splitlines()[-_LAST:]])
        return ""

    def revive(self, *, may_hang: bool = False) -> str:
        """If it died, or hangs, start it again with the models that it had; its `death`, or `hang`."""
        if told := self.death() or (self.hang() if may_hang else ""):
            loaded = sorted(self._loaded)
            self.kill()
            self.start()
            self.need(*loaded)
        return told

    def load(self, model: str, *, config: dict[str, Any] | None = None) -> None:
        """Load a model and those that it needs, or load it again. `config` replaces its whole configuration."""
        self.need(*MODELS[model].needs)
        parameters = {"config": msgspec.json.encode(config).decode()} if config else {}
        self._order(f"/v2/repository/models/{quote(model)}/load", {"parameters": parameters})
        self._loaded.add(model)

    def need(self, *models: str) -> None:
        """Load those of the models that are not ready."""
        for model in models:
            if not self.is_ready(model):
                self.load(model)

    def unload(self, model: str) -> None:
        """Begin to unload it: running streams finish."""
        self._order(f"/v2/repository/models/{quote(model)}/unload", {})
        self._loaded.discard(model)

    def is_ready(self, model: str) -> bool:
        return self.ask("GET", f"/v2/models/{quote(model)}/ready")[0] == http.client.OK

    def ask(self, method: str, path: str, body: object = None, *, seconds: float = 60) -> tuple[int, bytes]:
        """Status and body of an HTTP request to it; status 0 if nobody answers."""
        return _ask(http.client.HTTPConnection(HOST, self.ports.http, timeout=seconds), method, path, body)

    def scrape(self) -> str:
        """Its metrics, in Prometheus' text format."""
        return _ask(http.client.HTTPConnection(HOST, self.ports.metrics, timeout=60), "GET", "/metrics")[1].decode()

    def journal(self, *, model: str | None = None, request_id: str | None = None) -> list[journal.Entry]:
        """What its models were asked and how that ended, in order; of one model or one request's id, if given."""
        entries = journal.read(self.journal_file)
        return [one for one in entries if model in (None, one.model) and request_id in (None, one.id)]

    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    def _order(self, path: str, body: object) -> None:
        status, answer = self.ask("POST", path, body)
        if status != http.client.OK:
            raise TritonError(f"{path}: {status} {answer.decode(errors='replace')}\n{self.death()}".rstrip())

    def _wait_until_ready(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + _START
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                said = [line for line in self.log().splitlines() if line.startswith("E")][-_TAIL:]
                raise TritonError("\n".join(["Triton did not become ready:", *said]))
            time.sleep(_POLL)

    def _is_ready(self) -> bool:
        """Asks for its name too: another server may have been on these ports before."""
        name = self.ask("GET", "/v2", seconds=1)[1]
        return f'"{self._folder.name}"'.encode() in name and self.ask("GET", "/v2/health/ready")[0] == http.client.OK


def _ask(connection: http.client.HTTPConnection, method: str, path: str, body: object = None) -> tuple[int, bytes]:
    with contextlib.closing(connection):
        try:
            connection.request(method, path, None if body is None else msgspec.json.encode(body))
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            return 0, b""
