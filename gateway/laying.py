"""Whole versions as they are set while the gateway runs, here and by others of the same database: over the file's."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from engines.api import EngineError
from gateway.config import Config, ConfigError
from gateway.config.entries import Entries, Unfit, read_entry
from gateway.store.bounded import BoundedRegistry
from gateway.store.records import Actor, NotThere
from gateway.store.steering import VERSIONS
from gateway.upstreams import Upstreams

_logger = logging.getLogger("snowshed")

Stored = Mapping[str, Mapping[str, Any]]
"""What is set of each model: by its versions' names what the API was given."""


class Laying:
    """Carries versions into the database, and from there over those of the file; one change at a time.

    Changes raise StoreAway and Conflict, and ConfigError or EngineError for what can't be, by itself or with what
    there is: then nothing is stored and nothing changes.
    """

    def __init__(self, registry: BoundedRegistry, upstreams: Upstreams) -> None:
        self._registry = registry
        self._upstreams = upstreams
        self._one_at_a_time = asyncio.Lock()
        self._taken: tuple[Stored, Config] | None = None  # what was stored, and the file that it was laid over
        self._aside: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"<Laying of {', '.join(self._upstreams.entries) or 'nothing'}, {len(self._aside)} aside>"

    async def set(self, model: str, version: str, given: Any, *, by: Actor) -> None:
        """In the place of the file's, or of one that was set before. Returns once it holds here."""
        spec = read_entry(model, version, given)
        async with self._one_at_a_time:
            stored = await self._stored()
            await self._take(stored)
            if stored.get(model, {}).get(version) != given or spec.label in self._aside:
                entries = {**self._upstreams.entries, spec.label: spec}
                await self._change(entries, model, version, given, stored, by)

    async def clear(self, model: str, version: str, *, by: Actor) -> None:
        """So that the file's holds again, if it has one. Raises NotThere if none was set."""
        async with self._one_at_a_time:
            stored = await self._stored()
            await self._take(stored)
            if version not in stored.get(model, {}):
                raise NotThere("No such version was set over the admin API.", "version")
            label = f"{model}@{version}"
            entries = {other: spec for other, spec in self._upstreams.entries.items() if other != label}
            await self._change(entries, model, version, None, stored, by)

    async def refresh(self) -> None:
        """Have hold what is stored now. Raises StoreAway; what can't hold is left aside, and told once."""
        async with self._one_at_a_time:
            await self._take(await self._stored())

    async def _stored(self) -> Stored:
        rows = await self._registry.ask(lambda them: them.steering.all())
        return {model: value for (kind, model), value in rows.items() if kind == VERSIONS}

    async def _change(self, entries: Entries, model: str, version: str, given: Any, stored: Stored, by: Actor) -> None:
        async def agree() -> None:
            await self._registry.ask(lambda them: them.steering.set_version(model, version, given, stored, by=by))

        await self._upstreams.lay(entries, agree)
        self._taken = None  # what is stored now
        self._aside.pop(f"{model}@{version}", None)

    async def _take(self, stored: Stored) -> None:
        """Nothing to be done where neither this nor the file has changed since the last time."""
        file = self._upstreams.file
        if (stored, file) == self._taken:
            return
        wanted, aside = await asyncio.to_thread(_read, stored)  # many take their time
        if wanted != self._upstreams.entries:
            aside |= await self._lay(wanted)
        for label, reason in aside.items():
            if self._aside.get(label) != reason:
                extra = {"kind": "version", "model": label, "reason": reason}
                _logger.error("override left aside", extra=extra)
        self._taken, self._aside = (stored, file), aside

    async def _lay(self, wanted: Entries) -> dict[str, str]:
        """All at once, or where that can't be, those that can; the others by label, each with the reason."""
        trying = dict(wanted)
        while refusal := await self._refused(trying):
            held = self._upstreams.entries
            suspects = [label for label in getattr(refusal, "culprits", ()) if label in trying]
            if not suspects:
                break
            for label in [label for label in suspects if held.get(label) != trying[label]] or suspects:
                del trying[label]
        left = [label for label in {**self._upstreams.entries, **wanted} if not self._holds(label, wanted)]
        refused: dict[str, str] = {}
        while left:  # each by itself: it may have been suspected for another, and some need others
            tried = {label: await self._refused(self._with(label, wanted)) for label in left}
            refused = {label: str(refusal) for label, refusal in tried.items() if refusal}
            left = list(refused) if len(refused) < len(left) else []
        return refused

    def _holds(self, label: str, wanted: Entries) -> bool:
        return self._upstreams.entries.get(label) == wanted.get(label)

    def _with(self, label: str, wanted: Entries) -> Entries:
        """What holds, but for this one, which is as it is wanted, or not there."""
        others = {other: spec for other, spec in self._upstreams.entries.items() if other != label}
        return {**others, label: wanted[label]} if label in wanted else others

    async def _refused(self, entries: Entries) -> ConfigError | EngineError | None:
        """Why these can't hold; None if they do now. Its `culprits`, if it has any, are those that it is laid to."""
        try:
            await self._upstreams.lay(entries)
        except (ConfigError, EngineError) as error:
            return error
        return None


def _read(stored: Stored) -> tuple[Entries, dict[str, str]]:
    """In an order that every process finds; and those that another release must have written, each with the reason."""
    read, odd = {}, {}
    for model, versions in sorted(stored.items()):
        for version, given in sorted(versions.items()):
            label = f"{model}@{version}"
            try:
                read[label] = read_entry(model, version, given)
            except Unfit as error:
                odd[label] = str(error)
    return read, odd
