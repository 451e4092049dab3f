"""Any OpenAI-compatible server (vLLM, SGLang, trtllm-serve, llama.cpp, a cloud) as an engine."""

from __future__ import annotations

from dataclasses import replace
from math import isfinite
from time import monotonic
from typing import ClassVar
from urllib.parse import urlsplit

import msgspec
from pydantic import BaseModel

from engines.api import (
    LARGE_GPU,
    Call,
    Capacity,
    EngineError,
    Failed,
    Health,
    Kind,
    Load,
    Overloaded,
    Prices,
    Rejected,
    Reply,
    Surroundings,
)
from engines.connection import Connection
from engines.http import Pool, read_all
from engines.openai_options import OpenAIOptions
from engines.replies import StreamReply, UnaryReply
from engines.spoken import Problem, Refusal
from engines.trtllm_serve import TrtllmServe

PATHS: dict[Kind, str] = {"chat": "/chat/completions", "completion": "/completions", "embedding": "/embeddings"}
GRACE = 1.0
"""Seconds that a server is told on top of what is left. The limit is the caller's, and ours to keep: a server that
keeps it as well would break off first, and its refusal would count as its failure.
"""


class OpenAIEngine:
    """Relays calls to one server. `key` is a credential made at run time, in place of one that the options refer to."""

    Options: ClassVar[type[BaseModel]] = OpenAIOptions
    runs_here: ClassVar[bool] = False
    patience: ClassVar[float | None] = None
    prices: ClassVar[Prices] = LARGE_GPU

    def __init__(self, options: OpenAIOptions, surroundings: Surroundings, *, key: str | None = None) -> None:
        self._options = options
        self._connections = Capacity(options.connections)
        self._surroundings = surroundings
        self._own: TrtllmServe | None = None
        self._pool = Pool(options.url, surroundings, connections=options.connections)
        if options.api_key is not None:
            key = options.api_key.read()
        self._authorization = {} if key is None else {"authorization": f"Bearer {key}"}
        self._heads = {kind: self._head(path) for kind, path in PATHS.items()}

    def __repr__(self) -> str:
        return f"<OpenAIEngine {self._pool!r}>"

    def _head(self, path: str) -> bytes:
        lines = [
            f"POST {self._pool.base}{path} HTTP/1.1",
            f"host: {self._pool.authority.decode()}",
            "content-type: application/json",
            "accept: application/json, text/event-stream",
            "accept-encoding: identity",
            "user-agent: snowshed",
            *(f"{name}: {value}" for name, value in self._authorization.items()),
            "",
        ]
        return "\r\n".join(lines).encode()

    @property
    def load(self) -> Load | None:
        return self._own.load if self._own else None

    @property
    def capacity(self) -> Capacity:
        """What the server says, and never more than there are connections."""
        said = self._own and self._own.capacity
        if not said:
            return self._connections
        most = self._options.connections
        return replace(said, requests=min(said.requests or most, most))

    async def start(self) -> None:
        """Connections are made when they are needed; only a server that tells its load is asked from now on."""
        if self._options.server == "trtllm-serve":
            origin = self._options.url.removesuffix(urlsplit(self._options.url).path)
            self._own = TrtllmServe(origin, self._surroundings, self._authorization)

    async def call(self, call: Call) -> Reply:
        body = call.body()
        left = max(1, int((call.deadline + GRACE - monotonic()) * 1000))
        request = b"%bx-request-id: %b\r\nx-request-timeout-ms: %d\r\ncontent-length: %d\r\n\r\n%b" % (
            self._heads[call.kind], call.id.encode(), left, len(body), body,
        )  # fmt: skip
        connection = await self._pool.request(request)
        try:
            if connection.status != 200:
                raise await _refusal(connection)
            if connection.headers.get(b"content-encoding", b"identity") != b"identity":
                raise Failed("The model server used an encoding that was not asked for.")
            if call.stream and b"event-stream" in connection.headers.get(b"content-type", b""):
                return await StreamReply.open(call, connection)
            document = connection.take() if connection.state == "complete" else await read_all(connection)
            reply = UnaryReply.of(call, connection.headers, document)
            if call.stream:
                raise Failed("The model server did not stream.")
        except BaseException:
            connection.release()
            raise
        connection.release()
        return reply

    async def probe(self) -> Health:
        """Asks for the list of models: no completion, no tokens."""
        if self._own and not (health := await self._own.probe()).ready:
            return health
        try:
            status, _ = await self._pool.fetch("GET", "/models", headers=self._authorization)
        except EngineError as error:
            return Health(ready=False, reason=error.message)
        return Health(status == 200, "" if status == 200 else f"The list of models answered {status}.")

    async def aclose(self) -> None:
        if self._own:
            await self._own.aclose()
        await self._pool.aclose()


async def _refusal(connection: Connection) -> EngineError:
    """What a non-200 answer means. A caller's mistake keeps the server's words, everything else gets ours."""
    status = connection.status
    body = await read_all(connection)
    if status in (429, 503):
        return Overloaded("The model server is overloaded.", _seconds(connection.headers.get(b"retry-after")))
    if status not in (400, 413, 422):  # 401, 403 and 404 mean that *our* credential or configuration is wrong
        return Failed(f"The model server answered {status}.")
    problem = _problem(body)
    return Rejected(
        problem.message or "The model server refused the request.",
        kind="too_large" if status == 413 else "invalid",
        param=problem.param,
        code=problem.code if isinstance(problem.code, str) else None,
    )


def _problem(body: bytes) -> Problem:
    try:
        refusal = msgspec.json.decode(body, type=Refusal)
    except (UnicodeDecodeError, RecursionError, msgspec.DecodeError):
        return Problem()
    if isinstance(refusal.error, Problem):
        return refusal.error
    return Problem(message=refusal.error or refusal.message)


def _seconds(header: bytes | None) -> float | None:
    try:
        seconds = float(header or b"nan")
    except ValueError:
        return None  # a date: not worth a parser
    return max(0.0, seconds) if isfinite(seconds) else None
