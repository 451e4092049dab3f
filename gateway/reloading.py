"""The configuration's file, read again while requests go on: when it changes, at SIGHUP, or when somebody asks."""

from __future__ import annotations

import asyncio
import logging
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel

from engines.api import EngineError
from gateway.config import Config, ConfigError, check_exposure, check_sources, load
from gateway.config.entries import Unfit
from gateway.config.loading import LONGEST
from gateway.config.tree import quota_mistakes
from gateway.exposition import family
from gateway.overriding import listed
from gateway.quotas import Quotas

_logger = logging.getLogger("snowshed")

LIVE = frozenset({"models", "routing", "admission", "quotas"})
"""What may change while the gateway runs, but for `admission.costs` and `quotas.store`: they are read at the start."""


class Applying(Protocol):
    """What takes over other models and routes: `gateway.upstreams.Upstreams`. `file` is what it has taken over last."""

    @property
    def file(self) -> Config: ...
    @property
    def number(self) -> int: ...
    async def apply(self, file: Config) -> None: ...


@dataclass(slots=True, frozen=True)
class Source:
    """Where the configuration came from, to be read again. `path` None: from the environment alone."""

    path: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)

    def read(self) -> Config:
        """As at the start. Raises ConfigError with every mistake, or with all that it refers to and is not there."""
        config = load(self.path, self.environment)
        check_exposure(config)
        check_sources(config)
        return config

    def look(self) -> bytes | None:
        """Tells one content from another; for a file that is not there or can't be read, how it can't.

        None: what is there can be read once only, as a pipe, or has no end.
        """
        assert self.path is not None
        try:
            mode = self.path.stat().st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):  # which can't be read at all, and says so
                return None
            with self.path.open("rb") as file:
                return blake2b(file.read(LONGEST + 1), digest_size=16).digest()
        except OSError as error:
            return str(error.errno).encode()


@dataclass(slots=True, frozen=True)
class Reloaded:
    """What a new configuration changed: versions by label (`chat@2`), also `routing of chat` and `plan gold`."""

    added: Sequence[str]
    removed: Sequence[str]
    changed: Sequence[str]
    needs_restart: Sequence[str]
    """Settings, as `server.port`, in which the file differs from what runs, and which do not change live."""
    generation: int
    """Number of the snapshot that holds now."""


class Reloading:
    """One reload at a time. A bad file changes nothing; of a good one all that is LIVE is taken over."""

    def __init__(self, source: Source, upstreams: Applying, quotas: Quotas, every: float = 1.0) -> None:
        """`every`: seconds between two looks at the file; it is read when two in a row see the same new content."""
        self._source = source
        self._upstreams = upstreams
        self._quotas = quotas
        self._every = every
        self._started_with = upstreams.file
        self._reloading = asyncio.Lock()
        self._asked = asyncio.Event()
        self._seen: bytes | None = None  # at the last look
        self._read: bytes | None = None  # when it was last read
        self._valid = True

    def __repr__(self) -> str:
        return f"<Reloading {self._source.path or 'nothing'}, {'valid' if self._valid else 'not valid'}>"

    def ask(self) -> None:
        """Have it read soon, whether it has changed or not; what comes of it is logged. For a signal."""
        self._asked.set()

    async def reload(self) -> Reloaded:
        """Raises ConfigError, or EngineError if a replica can't start, in words for people: then nothing changes."""
        return await self._reload(told=True)

    async def watch(self) -> None:
        """Look, and listen, until cancelled."""
        while True:
            told = await self._waited()
            try:
                if told or await self._changed():
                    with suppress(ConfigError, EngineError):  # which were logged
                        await self._reload(told=told)
            except Exception:  # a mistake of ours must not end the watch, and with it the process
                _logger.exception("reload broke")

    def lines(self) -> Iterator[str]:
        """A `Source` for the metrics."""
        text = "Whether the configuration's file, as last read, is in force; other settings may need a restart."
        yield from family("gauge", "snowshed_config_valid", text, [("", int(self._valid))])
        text = "Number of the models, routes, replicas and admission that hold; rises with each change of them."
        yield from family("gauge", "snowshed_config_generation", text, [("", self._upstreams.number)])

    async def _waited(self) -> bool:
        """Whether somebody has asked, before the time for a look came."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._every if self._source.path else None):
                await self._asked.wait()
        told = self._asked.is_set()
        self._asked.clear()
        return told

    async def _changed(self) -> bool:
        """Seen twice, so that it is not read while somebody writes it."""
        before, self._seen = self._seen, await asyncio.to_thread(self._source.look)
        return self._seen == before != self._read

    async def _reload(self, *, told: bool) -> Reloaded:
        async with self._reloading:
            was_valid = self._valid
            try:
                reloaded = await self._exchange()
            except (ConfigError, EngineError) as error:
                _logger.error("configuration not reloaded", extra={"reason": str(error)})  # noqa: TRY400  # expected
                raise
        differs = reloaded.added or reloaded.removed or reloaded.changed or reloaded.needs_restart
        if told or differs or not was_valid:
            _logger.info("configuration reloaded", extra=_fields(reloaded))
        return reloaded

    async def _exchange(self) -> Reloaded:
        if self._source.path is None:
            raise ConfigError("there is no file to read again: the gateway was started without one")
        self._read = await asyncio.to_thread(self._source.look)
        if self._read is None:
            raise ConfigError(f"{self._source.path}: is no plain file, so it can't be read again")
        before = _parts(self._upstreams.file)
        try:
            config = await asyncio.to_thread(self._source.read)  # a long one takes its time
            taken = _live(self._started_with, config)
            after = _parts(taken)
            if after != before:
                await self._upstreams.apply(taken)
                self._quotas.apply(taken.quotas.plans, listed(taken.quotas.overrides))
        except (ConfigError, EngineError):
            self._valid = False
            raise
        self._valid = True
        return Reloaded(
            added=[name for name in after if name not in before],
            removed=[name for name in before if name not in after],
            changed=[name for name, part in after.items() if name in before and part != before[name]],
            needs_restart=list(_differing(taken, config)),
            generation=self._upstreams.number,
        )


def _live(started_with: Config, file: Config) -> Config:
    """What holds once as much of the file is taken over as may be.

    Raises Unfit where budgets would be spent without the prices or the keys that the file has for them: they begin to
    hold with a restart, and until then nothing would be counted, or nobody be let in.
    """
    live = {name: getattr(file, name) for name in LIVE}
    live["admission"] = file.admission.model_copy(update={"costs": started_with.admission.costs})
    live["quotas"] = started_with.quotas.model_copy(
        update={"plans": file.quotas.plans, "overrides": file.quotas.overrides}
    )
    taken = started_with.model_copy(update=live)
    if found := [
        (path, f"{words}; what the file has of that takes a restart") for path, words in quota_mistakes(taken)
    ]:
        raise Unfit(found)
    return taken


def _parts(config: Config) -> dict[str, BaseModel]:
    """All that may change live, by what it is called."""
    return {
        **{spec.label: spec for spec in config.models},
        **{f"routing of {spec.model}": spec for spec in config.routing},
        "admission": config.admission,
        **{f"plan {plan.name}": plan for plan in config.quotas.plans},
        **{f"override of tenant {one.name}": one for one in config.quotas.overrides.tenants},
        **{f"override of key {one.name}": one for one in config.quotas.overrides.keys},
    }


def _differing(one: BaseModel, other: BaseModel, path: str = "") -> Iterator[str]:
    for name in type(one).model_fields:
        here, there = getattr(one, name), getattr(other, name)
        if here == there:
            continue
        if isinstance(here, BaseModel) and type(here) is type(there):
            yield from _differing(here, there, f"{path}{name}.")
        else:
            yield f"{path}{name}"


def _fields(reloaded: Reloaded) -> dict[str, Any]:
    """Without what is empty."""
    named = {
        "added": reloaded.added,
        "removed": reloaded.removed,
        "changed": reloaded.changed,
        "needs_restart": reloaded.needs_restart,
    }
    shown = {name: ", ".join(values) for name, values in named.items() if values}
    return {**shown, "generation": reloaded.generation}
