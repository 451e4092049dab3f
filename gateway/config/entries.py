"""Versions that were set over the admin API: read as the file's entries are, checked with them, and laid over them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import isfinite
from typing import Any

from pydantic import ValidationError

from engines import ENGINES
from gateway.config.coherence import Mistake, mistakes
from gateway.config.errors import ConfigError
from gateway.config.mistakes import told_inside
from gateway.config.models import ModelSpec
from gateway.config.shape import Path, dotted
from gateway.config.sources import references
from gateway.config.strict_yaml import DEEPEST
from gateway.config.tree import Config
from gateway.config.truth import told_apart

Entries = Mapping[str, ModelSpec]
"""By label, as in `chat@2`."""
_UNKNOWN = "is not referred to by any model of the file, so it can't be from here; it has to be in the file first"
OWN_PATH = frozenset({"name", "version"})
"""Settings of the file's entries that say which version it is; what is set over the API says so by its path."""


class Unfit(ConfigError):
    """What was set can't be, by itself or with the file. `found`: each mistake's path, which begins with the label of
    what was set, or else leads through the file; and what is wrong, without values. `culprits`: whose mistakes they are
    beside the file, by label.
    """

    def __init__(self, found: Sequence[Mistake], culprits: Sequence[str] = ()) -> None:
        lines = [f"{dotted(path)}: {words}" for path, words in found]
        if culprits:
            lines.insert(0, f"what was set over the admin API stands in the way ({', '.join(culprits)}):")
        super().__init__("\n  ".join(lines))
        self.found = found
        self.culprits = culprits


def read_entry(name: str, version: str, given: Any) -> ModelSpec:
    """What was given in JSON for this version, as if it stood in the file. Raises Unfit with every mistake."""
    label = f"{name}@{version}"
    if not isinstance(given, dict) or not is_plain(given, DEEPEST):
        raise Unfit([((label,), f"takes settings by name, nested at most {DEEPEST} deep, and numbers that are finite")])
    if doubled := sorted(OWN_PATH & given.keys()):
        raise Unfit([((label, setting), "is said already, by what is set; leave it out") for setting in doubled])
    tree = {"models": [{**given, "name": name, "version": version}]}
    try:
        return ModelSpec.model_validate(told_apart(tree)["models"][0])
    except ValidationError as error:
        raise Unfit([((label, *path), words) for path, words in told_inside(error, ("models", 0), tree)]) from None


def laid_over(file: Config, entries: Entries) -> Config:
    """The file's models, each with the entry of its label in its place, and behind them the others.

    Raises Unfit: what holds is checked as a file is, and entries lead nowhere on this machine where the file does not.
    """
    if found := list(_mistakes(file, entries)):
        culprits = set(_culprits(found, file, entries))
        raise Unfit(found, [label for label in entries if label in culprits] or tuple(entries))
    return file.model_copy(update={"models": _merged(file, entries)})


def _culprits(found: Iterable[Mistake], file: Config, entries: Entries) -> Iterator[str]:
    """The file is right by itself: where a mistake is found there, it is about the same model or ends with its name."""
    for path, words in found:
        match path:
            case ("models", int(at), *_):
                yield from (label for label, spec in entries.items() if spec.name == file.models[at].name)
            case ("routing", *_):
                yield words.rpartition(" ")[2]
            case (label, *_):
                yield str(label)


def _merged(file: Config, entries: Entries) -> tuple[ModelSpec, ...]:
    """In an order that every process finds."""
    own = {spec.label for spec in file.models}
    beside = [entries[label] for label in sorted(entries.keys() - own)]
    return (*(entries.get(spec.label, spec) for spec in file.models), *beside)


def _mistakes(file: Config, entries: Entries) -> Iterator[Mistake]:
    merged = _merged(file, entries)
    roots: Sequence[Path] = [
        (spec.label,) if spec.label in entries else ("models", at) for at, spec in enumerate(merged)
    ]
    known = {_key(path, found) for spec in file.models for path, found in references(spec)}
    for spec in entries.values():
        if ENGINES[spec.engine].runs_here:
            yield (spec.label, "engine"), "runs on the gateway's own machine, which only the file may have it do"
        for path, found in references(spec):
            if _key(path, found) not in known:
                yield (spec.label, *path), _UNKNOWN
    for path, words in mistakes(merged, file.routing, lambda at: dotted(roots[at])):
        match path:
            case ("models", int(at), *rest):
                yield (*roots[at], *rest), words
            case _:
                yield path, words


def _key(path: Path, found: object) -> object:
    """The same setting with the same value: the key of a certificate is no chat template, which a server is sent."""
    return tuple(part for part in path if isinstance(part, str)), found


def is_plain(value: Any, levels: int) -> bool:
    """Whether a file could say it; JSON goes deeper, and has numbers that are none."""
    if isinstance(value, float):
        return isfinite(value)
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels > 0 and all(is_plain(each, levels - 1) for each in inside)
