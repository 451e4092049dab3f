"""Images on their way to a real Triton: as data, whatever the caller named, or not at all."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from engines.api import Call, Rejected
from loadtests.triton import TritonServer
from tests.support.tiny_tokenizer import write_tiny_tokenizer
from tests.support.triton import begun
from tests.support.triton_engine import ask, call, engine_for

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
AS_DATA = f"data:image/png;base64,{b64encode(PNG).decode()}"
TEMPLATE = "{% for m in messages %}{% for part in m.content %}{{ '<image>' if part.type == 'image' else part.text }}"
TEMPLATE += "{% endfor %}{% endfor %}"


@asynccontextmanager
async def site() -> AsyncIterator[str]:
    """Serves the picture, and whatever else is asked for."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(PNG), PNG))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def seeing(*urls: str) -> Call:
    parts: list[dict[str, Any]] = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    return call("chat", messages=[{"role": "user", "content": [{"type": "text", "text": "See: "}, *parts]}])


async def test_an_image_by_url_reaches_the_model_as_data(triton: TritonServer, tmp_path: Path) -> None:
    (tmp_path / "template.jinja").write_text(TEMPLATE)
    tokenizer = write_tiny_tokenizer(tmp_path / "tokenizer")
    async with site() as host:
        options: dict[str, Any] = {"images": {"internal": [host]}, "chat_template": tmp_path / "template.jinja"}
        async with engine_for(triton, "llmapi", tokenizer, **options) as engine:
            asked = seeing(f"{host}/a.png", AS_DATA)
            await ask(engine, asked)
            entry = triton.journal(request_id=f"{asked.id}-0")[0]
            assert entry.inputs["image_url"] == [AS_DATA, AS_DATA]
            before = len(begun(triton, model="llmapi"))
            for url, code in (
                ("https://169.254.169.254/latest", "invalid_image_url"),
                (f"{host.replace('127.0.0.1', 'localhost')}/a.png", "invalid_image_url"),
                ("http://127.0.0.1:1/a.png", "invalid_image_url"),
            ):
                with pytest.raises(Rejected) as refused:
                    await engine.call(seeing(AS_DATA, url))
                assert (refused.value.param, refused.value.code) == ("messages[0].content[2].image_url.url", code)
            assert len(begun(triton, model="llmapi")) == before
