"""What was learned of requests' costs, kept in a file from one run to the next."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import mkstemp
from typing import Literal

from msgspec import DecodeError, Struct, json

from gateway.snapshots import Pools
from router.learned import Known

_logger = logging.getLogger("snowshed")

EVERY = 300.0
"""Seconds between two writings; the last one is at the end."""
LONGEST = 64 * 1024 * 1024
"""Bytes of a file: a hundred versions, each with a thousand tenants that ask a lot."""


class Kept(Struct, forbid_unknown_fields=True):
    """What the file holds, by the versions' labels. Of another release it may be of another form."""

    form: Literal[1]
    versions: dict[str, Known]


def encoded(versions: Mapping[str, Known]) -> bytes:
    return json.encode(Kept(1, dict(versions)))


def decoded(content: bytes) -> Mapping[str, Known]:
    """Raises ValueError, which says where what is wrong."""
    try:
        return json.decode(content, type=Kept).versions
    except DecodeError as error:
        raise ValueError(str(error)) from None


def read(file: Path) -> bytes:
    """Raises OSError."""
    _check(file)
    with file.open("rb") as opened:
        content = opened.read(LONGEST + 1)
    if len(content) > LONGEST:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    return content


def write(file: Path, content: bytes) -> None:
    """Whoever reads it finds the old content or the new one, even if others write it, too. Raises OSError."""
    _check(file)
    if len(content) > LONGEST:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    file = Path(os.path.realpath(file))  # what a link leads to is written, not the link
    fd, name = mkstemp(prefix=f".{file.name}.", dir=file.parent)  # for nobody else to read: tenants are named in it
    new = Path(name)
    try:
        with open(fd, "wb") as opened:  # noqa: PTH123  # a descriptor
            opened.write(content)
            opened.flush()
            os.fsync(fd)
        new.replace(file)
    except BaseException:
        new.unlink(missing_ok=True)
        raise


def _check(file: Path) -> None:
    """A pipe would be waited for, and a device replaced."""
    if file.exists() and not file.is_file():
        raise OSError(errno.EINVAL, "is no plain file")


class LearnedCosts:
    """Keeps what all versions have learned in the file; None: nowhere. It is no reason not to start, nor to stop.

    Several gateways may have one file: it holds what one of them wrote last.
    """

    def __init__(self, file: Path | None, pools: Pools, every: float = EVERY) -> None:
        self._file = file
        self._pools = pools
        self._every = every
        self._trouble = ""

    def __repr__(self) -> str:
        return f"<LearnedCosts in {self._file or 'no file'}{self._trouble and f'; {self._trouble}'}>"

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Versions have it from here on, and the file at the end."""
        if self._file is None:
            yield
            return
        await self._recall(self._file)
        over = asyncio.Event()
        keeping = asyncio.create_task(self._keep(self._file, over))
        try:
            yield
        finally:
            over.set()
            await keeping

    async def _recall(self, file: Path) -> None:
        """Of versions and replicas that are there."""
        try:
            versions = await asyncio.to_thread(lambda: decoded(read(file)))
        except FileNotFoundError:
            return
        except (OSError, ValueError) as error:
            _logger.warning("costs left aside", extra={"file": str(file), "reason": _why(error)})
            return
        admissions = [admission for admission in self._pools.every if admission.pool.name in versions]
        for admission in admissions:
            names = {replica.name for replica in admission.pool.replicas}
            admission.costs.restore(versions[admission.pool.name], names)
        _logger.info("costs recalled", extra={"file": str(file), "versions": len(admissions)})

    async def _keep(self, file: Path, over: asyncio.Event) -> None:
        is_last = False
        while not is_last:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._every):
                    await over.wait()
            is_last = over.is_set()
            try:
                self._tell(file, await self._written(file))
            except Exception:  # a mistake of ours must not end the process
                _logger.exception("costs not kept", extra={"file": str(file)})

    async def _written(self, file: Path) -> str:
        """Why it could not be; "" if it was."""
        versions = {}
        for admission in list(self._pools.every):
            versions[admission.pool.name] = admission.costs.state()
            await asyncio.sleep(0)  # for requests: a version of many tenants takes some ten milliseconds
        try:
            await asyncio.to_thread(lambda: write(file, encoded(versions)))
        except (OSError, ValueError) as error:
            return _why(error)
        return ""

    def _tell(self, file: Path, trouble: str) -> None:
        """Once, as long as it is the same."""
        if trouble and trouble != self._trouble:
            _logger.warning("costs not kept", extra={"file": str(file), "reason": trouble})
        self._trouble = trouble


def _why(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error)
