"""Pictures that callers name by their URL, fetched by us: a model server is only ever given their content."""

from __future__ import annotations

import asyncio
import socket
import ssl
from base64 import b64encode
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from engines.api import EngineError, Rejected, Surroundings
from engines.connection import LANDING, Connection
from engines.text.asked import Image
from engines.text.image_hosts import Host, Place, find, is_public
from engines.units import Duration, Size

AT_ONCE = 32
"""Fetches under way for one replica; further ones wait, and their time runs."""

PIECE = 3 << 17
"""Bytes that are encoded at a stretch, in a millisecond or two; of a multiple of three the codes can be joined."""

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Finds the IP addresses of a host, or raises OSError. Asked once for each picture."""


def _host(entry: str) -> str:
    Host.parse(entry)
    return entry


def _literal(entry: str) -> str:
    if Host.parse(entry).below:
        raise ValueError("must name each host by itself")
    return entry


class ImageOptions(BaseModel):
    """From where pictures are fetched that a caller names by URL."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    hosts: tuple[Annotated[str, AfterValidator(_host)], ...] = Field(
        (), description="Hosts on the internet: host, *.domain or host:port; over TLS unless http:// is in front."
    )
    internal: tuple[Annotated[str, AfterValidator(_literal)], ...] = Field(
        (), description="Hosts that may have a private address: host or host:port."
    )
    max_bytes: Size = Field(4 << 20, ge=1024, le=64 << 20, description="Of one picture.")
    timeout: Duration = Field(10.0, gt=0, le=120, description="For one picture.")
    most: int = Field(8, ge=1, le=128, description="Pictures by URL in one request.")


class Images:
    """Fetches within an operator's lists and bounds: no redirects, cookies, proxies or second look at DNS."""

    def __init__(
        self,
        options: ImageOptions,
        surroundings: Surroundings,
        *,
        resolve: Resolve | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._options = options
        self._public = [Host.parse(entry) for entry in options.hosts]
        self._internal = [Host.parse(entry) for entry in options.internal]
        self._surroundings = surroundings
        self._resolve = resolve or _resolved
        self._tls = tls or ssl.create_default_context()
        self._places = asyncio.Semaphore(AT_ONCE)
        self._landing = memoryview(bytearray(LANDING))

    def __repr__(self) -> str:
        return f"<Images from {len(self._public) + len(self._internal)} hosts>"

    async def fetched(self, images: Sequence[Image]) -> tuple[Image, ...]:
        """The same with data URLs for all URLs, fetched side by side; cancelled together.

        Raises Rejected naming the first URL that is not allowed, before anything is fetched, or one that can't be had.
        """
        far = [(image, _checked(image, self._public, self._internal)) for image in images if not _is_data(image)]
        if len(far) > self._options.most:
            raise _refused(
                far[self._options.most][0], f"There must be no more than {self._options.most} images by URL."
            )
        try:
            async with asyncio.TaskGroup() as group:
                tasks = {image.param: group.create_task(self._fetch(image, place)) for image, place in far}
        except BaseExceptionGroup as several:
            raise several.exceptions[0] from None  # the others were cancelled for it
        return tuple(
            Image(tasks[image.param].result(), image.param) if image.param in tasks else image for image in images
        )

    async def _fetch(self, image: Image, place: Place) -> str:
        """A data URL."""
        try:
            async with asyncio.timeout(self._options.timeout), self._places:
                content = await self._read(place)
        except TimeoutError:
            raise _lost(image, f"it took more than {self._options.timeout:g} s") from None
        except (OSError, EngineError):
            raise _lost(image, "its host can't be reached, or gives no proper answer") from None
        except ValueError as error:
            raise _lost(image, str(error)) from None
        kind = media_type(content)
        if kind is None:
            raise _lost(image, "it is no PNG, JPEG, GIF or WebP")
        return f"data:{kind};base64,{await _encoded(content)}"

    async def _read(self, place: Place) -> bytes:
        """Raises ValueError for an answer that is not to be used, OSError or EngineError for none."""
        connection = await self._connected(place)
        try:
            connection.send(_request(place))
            while connection.state == "head":
                await connection.more()
            connection.check()
            if connection.status != 200:
                raise ValueError(f"its host answered {connection.status}")
            content = bytearray()
            while data := await connection.read():
                content += data
                if len(content) > self._options.max_bytes:
                    raise ValueError(f"it is larger than {self._options.max_bytes} bytes")
            return bytes(content)
        finally:
            connection.abort()

    async def _connected(self, place: Place) -> Connection:
        """To an address that was looked at: what the name means a moment later does not count."""
        addresses = await self._resolve(place.host, place.port)
        if not place.internal and not all(map(is_public, addresses)):
            raise OSError("not on the internet")
        failed = OSError("no address")
        for address in addresses:
            try:
                return await self._dial(address, place)
            except OSError as error:
                failed = error
        raise failed

    async def _dial(self, address: str, place: Place) -> Connection:
        surroundings = self._surroundings
        connection = Connection(surroundings.sweeper, surroundings.timers, Connection.abort, _forgotten, self._landing)
        try:
            await asyncio.get_running_loop().create_connection(
                lambda: connection,
                address,
                place.port,
                ssl=self._tls if place.tls else None,
                server_hostname=place.host if place.tls else None,
            )
        except BaseException:
            connection.abort()
            raise
        return connection


def media_type(content: bytes) -> str | None:
    """By its first bytes; None for what is none of the usual pictures."""
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if content.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if content.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    return "image/webp" if content[:4] == b"RIFF" and content[8:12] == b"WEBP" else None


async def _encoded(content: bytes) -> str:
    """In Base64; others have their turn between two pieces, as no thread could run meanwhile."""
    pieces = []
    for start in range(0, len(content), PIECE):
        pieces.append(b64encode(content[start : start + PIECE]))
        await asyncio.sleep(0)
    return b"".join(pieces).decode()


async def _resolved(host: str, port: int) -> list[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


def _request(place: Place) -> bytes:
    lines = [
        f"GET {place.target} HTTP/1.1",
        f"host: {place.authority}",
        "accept: image/png, image/jpeg, image/gif, image/webp",
        "accept-encoding: identity",
        "user-agent: snowshed",
        "connection: close",
        "\r\n",
    ]
    return "\r\n".join(lines).encode()


def _checked(image: Image, public: Sequence[Host], internal: Sequence[Host]) -> Place:
    try:
        return find(image.url, public, internal)
    except ValueError as error:
        raise _refused(image, str(error)) from None


def _is_data(image: Image) -> bool:
    return image.url.startswith("data:image/")


def _refused(image: Image, message: str) -> Rejected:
    return Rejected(message, param=f"{image.param}.image_url.url", code="invalid_image_url")


def _lost(image: Image, why: str) -> Rejected:
    return Rejected(
        f"The image could not be fetched: {why}.", param=f"{image.param}.image_url.url", code="image_not_fetched"
    )


def _forgotten(_connection: Connection) -> None:
    """No pool has it."""
