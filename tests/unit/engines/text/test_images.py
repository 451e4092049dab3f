"""Pictures fetched from real sockets: within lists and bounds, from the address that was looked at, or not at all."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from engines.api import Rejected, Surroundings, Timers
from engines.sweeper import Sweeper
from engines.text.asked import Image
from engines.text.images import PIECE, ImageOptions, Images, media_type
from tests.support import certificates
from tests.support.waiting import until

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
PARAM = "messages[0].content[1]"
PATIENCE = 10.0


def answer(content: bytes = PNG, head: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {head}\r\ncontent-length: {len(content)}\r\n\r\n".encode() + content


class Site:
    """Gives each request `said`, then waits if it is `slow`; keeps what it was asked."""

    def __init__(self, said: bytes, *, slow: bool) -> None:
        self._said = said
        self._slow = slow
        self.port = 0
        self.requests: list[bytes] = []
        self.left = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            self.requests.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(self._said)
            await writer.drain()
            if self._slow:
                await reader.read()
                self.left.set()
        writer.close()


@contextlib.asynccontextmanager
async def site(said: bytes = b"", *, slow: bool = False, tls: ssl.SSLContext | None = None) -> AsyncIterator[Site]:
    it = Site(said or answer(), slow=slow)
    server = await asyncio.start_server(it.serve, "127.0.0.1", 0, ssl=tls)
    it.port = server.sockets[0].getsockname()[1]
    async with server:
        yield it


class Names:
    """What every host resolves to: the next of `answers` each time."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self._answers = list(answers)
        self.asked: list[tuple[str, int]] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append((host, port))
        return self._answers.pop(0)


def images(names: Names | None = None, tls: ssl.SSLContext | None = None, **options: Any) -> Images:
    return Images(ImageOptions(**options), Surroundings(Sweeper(), Timers()), resolve=names, tls=tls)


def url(it: Site, path: str = "/a.png") -> str:
    return f"http://127.0.0.1:{it.port}{path}"


def own(it: Site, **options: Any) -> Images:
    """With the site on the list of internal hosts."""
    return images(internal=[f"http://127.0.0.1:{it.port}"], **options)


async def refusal(fetching: Images, *urls: str) -> Rejected:
    with pytest.raises(Rejected) as refused:
        await fetching.fetched([Image(each, f"messages[0].content[{at}]") for at, each in enumerate(urls)])
    return refused.value


async def test_a_picture_becomes_a_data_url_and_data_urls_stay() -> None:
    async with site() as it:
        given = Image("data:image/gif;base64,AA", "messages[0].content[0]")
        kept, fetched = await own(it).fetched([given, Image(url(it, "/a.png?s=1#top"), PARAM)])
    assert kept == given
    assert fetched.param == PARAM
    kind, _, content = fetched.url.partition(";base64,")
    assert kind == "data:image/png"
    assert b64decode(content) == PNG
    head = it.requests[0].decode().lower()
    assert head.startswith("get /a.png?s=1 http/1.1\r\n")
    assert f"host: 127.0.0.1:{it.port}\r\n" in head
    assert "cookie" not in head
    assert "authorization" not in head


@pytest.mark.parametrize("size", [PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 5])
async def test_a_large_picture_is_encoded_in_pieces_that_fit_together(size: int) -> None:
    content = PNG + bytes(size - len(PNG))
    async with site(answer(content)) as it:
        (got,) = await own(it).fetched([Image(url(it), PARAM)])
    assert got.url == f"data:image/png;base64,{b64encode(content).decode()}"


async def test_over_tls_the_certificate_must_be_the_host_s(tmp_path: Path) -> None:
    pair = certificates.localhost()
    (tmp_path / "pem").write_bytes(pair.key + pair.certificate)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(tmp_path / "pem")
    trusting = ssl.create_default_context(cadata=pair.certificate.decode())
    async with site(tls=serving) as it:
        hosts = [f"localhost:{it.port}", f"elsewhere:{it.port}"]
        fetching = images(Names(["127.0.0.1"], ["127.0.0.1"]), trusting, internal=hosts)
        (fetched,) = await fetching.fetched([Image(f"https://localhost:{it.port}/", PARAM)])
        assert fetched.url.startswith("data:image/png;base64,")
        assert (await refusal(fetching, f"https://elsewhere:{it.port}/")).code == "image_not_fetched"
        assert (await refusal(own_tls(it), f"https://127.0.0.1:{it.port}/")).code == "image_not_fetched"
    assert len(it.requests) == 1


def own_tls(it: Site) -> Images:
    """One that trusts the usual authorities only."""
    return images(internal=[f"127.0.0.1:{it.port}"])


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["8.8.8.8", "127.0.0.1"], ["::ffff:127.0.0.1"], ["10.0.0.1"], []])
async def test_a_public_host_that_leads_inside_is_not_asked(addresses: list[str]) -> None:
    async with site() as it:
        fetching = images(Names(addresses), hosts=[f"http://cdn.example.com:{it.port}"])
        refused = await refusal(fetching, f"http://cdn.example.com:{it.port}/")
    assert (refused.param, refused.code) == ("messages[0].content[0].image_url.url", "image_not_fetched")
    assert "127" not in refused.message
    assert it.requests == []


async def test_a_name_is_resolved_once_and_that_address_asked() -> None:
    async with site() as it:
        names = Names(["127.0.0.1"], ["127.0.0.2"])
        fetching = images(names, internal=[f"http://store:{it.port}"])
        await fetching.fetched([Image(f"http://store:{it.port}/", PARAM)])
    assert names.asked == [("store", it.port)]
    assert f"host: store:{it.port}\r\n".encode() in it.requests[0]


async def test_a_dead_address_is_passed_over() -> None:
    async with site() as it:
        fetching = images(Names(["127.0.0.9", "127.0.0.1"]), internal=[f"http://store:{it.port}"])
        (fetched,) = await fetching.fetched([Image(f"http://store:{it.port}/", PARAM)])
    assert fetched.url.startswith("data:image/png")


async def test_nothing_is_fetched_if_one_url_is_not_allowed() -> None:
    async with site() as it:
        refused = await refusal(own(it), url(it), "https://elsewhere.example/x.png")
    assert (refused.param, refused.code) == ("messages[0].content[1].image_url.url", "invalid_image_url")
    assert it.requests == []


async def test_there_may_not_be_too_many() -> None:
    async with site() as it:
        fetching = own(it, most=2)
        await fetching.fetched([Image("data:image/png;base64,AA", f"d{at}") for at in range(3)])
        refused = await refusal(fetching, url(it), url(it), url(it))
    assert refused.param == "messages[0].content[2].image_url.url"
    assert it.requests == []


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (answer(head="302 Found\r\nlocation: http://169.254.169.254/"), "answered 302"),
        (answer(head="404 Not Found"), "answered 404"),
        (answer(b"<svg onload='x'/>", "200 OK\r\ncontent-type: image/png"), "no PNG, JPEG, GIF or WebP"),
        (answer(b""), "no PNG, JPEG, GIF or WebP"),
        (answer(PNG + bytes(2000)), "larger than 1024 bytes"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + PNG + bytes(2000), "larger than 1024 bytes"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n" + PNG, "no proper answer"),
        (b"SSH-2.0-OpenSSH_9\r\n", "no proper answer"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000, "no proper answer"),
    ],
    ids=range(9),
)
async def test_what_is_no_picture_within_bounds_is_refused(said: bytes, why: str) -> None:
    async with site(said) as it:
        refused = await refusal(own(it, max_bytes=1024), url(it))
    assert refused.code == "image_not_fetched"
    assert why in refused.message


@pytest.mark.parametrize("said", [b"HTTP/1.1 ", answer()[:-1]], ids=["head", "body"])
async def test_a_silent_host_is_left_in_time(said: bytes) -> None:
    async with site(said, slow=True) as it:
        refused = await refusal(own(it, timeout=0.2), url(it))
        assert "0.2 s" in refused.message
        await asyncio.wait_for(it.left.wait(), PATIENCE)


async def test_fetches_run_side_by_side_and_end_together() -> None:
    async with site(b"HTTP/1.1 ", slow=True) as slow, site() as broken:
        fetching = images(internal=[f"http://127.0.0.1:{it.port}" for it in (slow, broken)])
        waiting = asyncio.create_task(fetching.fetched([Image(url(slow), "a"), Image(url(broken), "b")]))
        await until(lambda: slow.requests and broken.requests)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await asyncio.wait_for(slow.left.wait(), PATIENCE)


async def test_a_host_that_is_not_there() -> None:
    async with site() as it:
        pass
    assert "can't be reached" in (await refusal(own(it), url(it))).message


def test_lists_are_checked_when_they_are_read() -> None:
    with pytest.raises(ValidationError):
        ImageOptions(hosts=("*",))
    with pytest.raises(ValidationError, match="by itself"):
        ImageOptions(internal=("*.local",))
    options = ImageOptions(hosts=("*.example.com",), internal=("http://store:9000",))
    assert (options.max_bytes, options.timeout, options.most) == (4 << 20, 10.0, 8)


def test_pictures_are_known_by_their_first_bytes() -> None:
    kinds = [
        media_type(content) for content in (PNG, b"\xff\xd8\xff\xe0", b"GIF89a", b"RIFF1234WEBPVP8 ", b"RIFF", b"")
    ]
    assert kinds == ["image/png", "image/jpeg", "image/gif", "image/webp", None, None]
