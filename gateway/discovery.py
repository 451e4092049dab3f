"""Where replicas are, from DNS: each host is asked again and again, and what it answers is handed on."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Iterable, Mapping
from ipaddress import ip_address

from engines.api import EngineError
from gateway.config import Config, ConfigError

_logger = logging.getLogger("snowshed")

Addresses = Mapping[str, tuple[str, ...]]
"""Of each host, in a fixed order."""
Resolve = Callable[[str], Awaitable[Iterable[str]]]
"""From a host to its addresses. Raises OSError."""
Found = Callable[[str, tuple[str, ...]], Awaitable[None]]

PATIENCE = 5.0
"""Seconds for one answer."""
MOST = 64
"""Addresses of one host that count."""


async def resolve(host: str) -> Iterable[str]:
    """Of both families, as the system resolves names. Those that need a network interface's name are left out."""
    found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return [str(place[0]) for *_, place in found if "%" not in str(place[0])]


class Discovery:
    """An answer with addresses counts; no answer, or an empty one, changes nothing and is told once."""

    def __init__(self, resolve: Resolve) -> None:
        self._resolve = resolve
        self._following: dict[str, tuple[float, asyncio.Task[None]]] = {}
        self._troubles: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"<Discovery of {', '.join(self._following) or 'nothing'}, {len(self._troubles)} in trouble>"

    async def ask(self, hosts: Iterable[str]) -> Addresses:
        """Once, all at a time; those that have no answer are left out."""
        asked = tuple(hosts)
        answers = await asyncio.gather(*map(self._ask, asked))
        return {host: addresses for host, addresses in zip(asked, answers, strict=True) if addresses}

    def follow(self, hosts: Mapping[str, float], tasks: asyncio.TaskGroup, found: Found) -> None:
        """From now on ask these and no others, each once in so many seconds; `found` hears each answer.

        What `found` raises of EngineError and ConfigError is told, and the next answer is another try.
        """
        for host, (every, task) in tuple(self._following.items()):
            if hosts.get(host) != every:
                task.cancel()
                del self._following[host]
        for host, every in hosts.items():
            if host not in self._following:
                self._following[host] = (every, tasks.create_task(self._follow(host, every, found)))

    def stop(self) -> None:
        for _, task in self._following.values():
            task.cancel()
        self._following.clear()

    async def _follow(self, host: str, every: float, found: Found) -> None:
        while True:
            await asyncio.sleep(every)
            addresses = await self._ask(host)
            if not addresses:
                continue
            try:
                await found(host, addresses)
                self._troubles.pop(host, None)
            except (EngineError, ConfigError) as error:
                self._tell(host, str(error))
            except Exception:  # a mistake of ours must not end the process
                _logger.exception("discovery broke", extra={"host": host})

    async def _ask(self, host: str) -> tuple[str, ...]:
        try:
            async with asyncio.timeout(PATIENCE):
                addresses = set(await self._resolve(host))
        except TimeoutError:
            self._tell(host, f"no answer within {PATIENCE:g} s")
        except (OSError, UnicodeError) as error:  # the latter of a name that can't be one
            self._tell(host, getattr(error, "strerror", None) or str(error))
        else:
            if addresses:
                return tuple(sorted(addresses, key=_order)[:MOST])
            self._tell(host, "no addresses")
        return ()

    def _tell(self, host: str, trouble: str) -> None:
        """Once, as long as it is the same."""
        if self._troubles.get(host) != trouble:
            self._troubles[host] = trouble
            _logger.warning("replicas stay as they are", extra={"host": host, "reason": trouble})


def hosts_of(config: Config) -> dict[str, float]:
    """Those to be discovered, each with the seconds between two questions."""
    hosts: dict[str, float] = {}
    for spec in config.models:
        if found := spec.discover:
            hosts[found.host] = min(found.every, hosts.get(found.host, found.every))
    return hosts


def _order(address: str) -> tuple[int, int]:
    found = ip_address(address)
    return found.version, int(found)
