"""Runs of the script on a connection: packed in C, as the driver's own way costs more than all the rest."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from hashlib import sha1
from typing import Any

from hiredis import pack_command
from redis.asyncio import Redis, RedisCluster
from redis.exceptions import NoScriptError, ReadOnlyError, ResponseError

from security.limits.script import Call
from security.limits.sentinel import MasterPool


class Wire(ABC):
    """Over a client of Redis, or what speaks like it. How long anything may take is the caller's to say."""

    def __init__(self, client: Redis | RedisCluster, script: str) -> None:
        self._client = client
        self._script = script
        self._sha = sha1(script.encode(), usedforsecurity=False).hexdigest()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._sha[:8]}>"

    async def run(self, calls: Sequence[Call]) -> list[Any]:
        """The answers; errors that are no trouble of the connection's stand in their places. Raises RedisError."""
        replies = await self._run_known(calls)
        unknown = [number for number, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
        if unknown:  # after a restart, a fail-over or SCRIPT FLUSH; none of these has done anything
            again = await self._run_unknown([calls[number] for number in unknown])
            for number, reply in zip(unknown, again, strict=True):
                replies[number] = reply
        return replies

    async def aclose(self) -> None:
        await self._client.aclose()

    @abstractmethod
    async def follow(self) -> None:
        """Notice who takes whose place among several servers; until cancelled."""

    @abstractmethod
    async def _run_known(self, calls: Sequence[Call]) -> list[Any]:
        """Of the script that the server has."""

    @abstractmethod
    async def _run_unknown(self, calls: Sequence[Call]) -> list[Any]:
        """The same where it has not."""


class ServerWire(Wire):
    """To one server, or to whichever is the master."""

    def __init__(self, client: Redis, script: str) -> None:
        super().__init__(client, script)
        self._pool = client.connection_pool

    async def follow(self) -> None:
        if isinstance(self._pool, MasterPool):
            await self._pool.follow()

    async def _run_known(self, calls: Sequence[Call]) -> list[Any]:
        return await _converse(self._pool, [self._packed(call) for call in calls])

    async def _run_unknown(self, calls: Sequence[Call]) -> list[Any]:
        load = packed("SCRIPT", "LOAD", self._script)  # goes ahead of them: a store far away has no time for both
        loaded, *replies = await _converse(self._pool, [load, *(self._packed(call) for call in calls)])
        if isinstance(loaded, ResponseError):
            raise loaded
        return replies

    def _packed(self, call: Call) -> bytes:
        keys, arguments = call
        return packed("EVALSHA", self._sha, len(keys), *keys, *arguments)


def packed(*words: str | int) -> bytes:
    """A command as it goes over the wire."""
    command: bytes = pack_command(words)  # type: ignore[arg-type]  # its stub has tuples of one word
    return command


async def _converse(pool: Any, commands: Sequence[bytes]) -> list[Any]:
    """On a connection of its own; whoever leaves in between closes that, as nobody else must read those answers."""
    connection = await pool.get_connection()
    try:
        await connection.send_packed_command(b"".join(commands))
        replies: list[Any] = []
        for _ in commands:
            try:
                replies.append(await connection.read_response())
            except ReadOnlyError:  # it is the master no more: the same address may lead to the next one by now
                await connection.disconnect(nowait=True)
                raise
            except ResponseError as error:
                replies.append(error)
        return replies
    finally:
        await pool.release(connection)
