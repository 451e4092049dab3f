"""A running child as seen from here: calls go through the OpenAI engine, questions to paths of llama.cpp's own."""

from __future__ import annotations

import asyncio
from typing import Any, Self

import msgspec

from engines.api import Call, Failed, Health, Rejected, Reply, Surroundings
from engines.embedded.rules import Fields
from engines.http import Pool
from engines.openai import OpenAIEngine
from engines.openai_options import OpenAIOptions

ASKING = 4
"""Questions at a time besides the calls. The child has a thread per connection, and needs to have enough of them."""


class _Settings(msgspec.Struct):
    n_ctx: int


class _Properties(msgspec.Struct):
    default_generation_settings: _Settings


class _Template(msgspec.Struct):
    prompt: str


class _Tokens(msgspec.Struct):
    tokens: list[int]


class _Problem(msgspec.Struct):
    message: str = ""


class _Refusal(msgspec.Struct):
    error: _Problem


class ChildServer:
    """The child at `address`. `context` is what one slot holds, in tokens, prompt and answer together."""

    context: int

    def __init__(self, address: str, key: str, surroundings: Surroundings) -> None:
        self._openai = OpenAIEngine(OpenAIOptions(url=f"{address}/v1"), surroundings, key=key)
        self._pool = Pool(address, surroundings, connections=ASKING)
        self._asking = asyncio.Semaphore(ASKING)
        self._headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}

    def __repr__(self) -> str:
        return f"<ChildServer {self._openai!r}>"

    @classmethod
    async def connect(cls, address: str, key: str, surroundings: Surroundings) -> Self:
        """Raises EngineError if nothing useful answers there."""
        server = cls(address, key, surroundings)
        try:
            status, answer = await server._ask("GET", "/props")
            if status != 200:
                raise Failed(f"The embedded model's server answered {status}.")
            server.context = msgspec.json.decode(answer, type=_Properties).default_generation_settings.n_ctx
        except BaseException:
            await server.aclose()
            raise
        return server

    async def call(self, call: Call) -> Reply:
        return await self._openai.call(call)

    async def health(self) -> Health:
        return await self._openai.probe()

    async def count(self, fields: Fields) -> int:
        """How many tokens the prompt of these members is: of the very text and by the very tokenizer of the child.

        Raises Rejected if the model's template does not take the messages.
        """
        if "messages" in fields:
            status, answer = await self._ask("POST", "/apply-template", msgspec.json.encode(fields))
            if status != 200:
                raise Rejected(_words(answer) or "The model's chat template does not take these messages.")
            prompt: Any = msgspec.json.decode(answer, type=_Template).prompt
        else:
            prompt = msgspec.json.decode(fields["prompt"])
        if isinstance(prompt, list):
            return len(prompt)
        question = {"content": prompt, "add_special": True, "parse_special": True}
        status, answer = await self._ask("POST", "/tokenize", msgspec.json.encode(question))
        if status != 200:
            raise Failed(f"The embedded model's tokenizer answered {status}.")
        return len(msgspec.json.decode(answer, type=_Tokens).tokens)

    async def aclose(self) -> None:
        await self._openai.aclose()
        await self._pool.aclose()

    async def _ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        async with self._asking:
            return await self._pool.fetch(method, path, body, self._headers)


def _words(answer: bytes) -> str:
    try:
        return msgspec.json.decode(answer, type=_Refusal).error.message
    except msgspec.DecodeError:
        return ""
