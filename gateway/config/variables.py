"""Settings from the environment, laid over those of the file: `SNOWSHED_SERVER__PORT=9000`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from engines.credentials import FromVariable
from gateway.compiled import SWITCH
from gateway.config.shape import Path, dotted
from gateway.config.strict_yaml import UnreadableError, parse

PREFIX = "SNOWSHED_"
OTHERS = frozenset({
    SWITCH, "SNOWSHED_CACHE", "SNOWSHED_URL", "SNOWSHED_API_KEY", "SNOWSHED_ADMIN_URL", "SNOWSHED_ADMIN_KEY"
})  # fmt: skip
"""No settings of the gateway: how it runs, the folder for what is fetched once, and where clients find the gateway."""

_KUBERNETES = re.compile(
    r"SNOWSHED(?:_[A-Z0-9]+)*?_(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9]+)*|PORT_\d+_(?:TCP|UDP|SCTP)(?:_[A-Z]+)?|(PORT))"
)
"""What a pod is told of Services whose names begin with ours; the last alternative holds an address, tcp://10.0.0.1:80."""


def variable(path: Path) -> str:
    """The one that sets it: `SNOWSHED_MODELS__0__NAME`."""
    return PREFIX + "__".join(map(str, path)).upper()


@dataclass
class Overlaid:
    """A tree of plain values with the environment's over it, which of them those are, and what was wrong with these."""

    tree: Any
    variables: dict[Path, str] = field(default_factory=dict)
    mistakes: list[str] = field(default_factory=list)


def overlay(tree: Any, environment: Mapping[str, str]) -> Overlaid:
    """The variables that set something, over `tree`, which stays as it is."""
    made = Overlaid(tree)
    spared = OTHERS | set(_referred(tree))
    ours = [(*_path(name), name) for name in environment if name.startswith(PREFIX) and name not in spared]
    for path, is_file, name in sorted(ours, key=lambda one: [str(part).zfill(8) for part in one[0]]):
        text = environment[name]
        if (theirs := _KUBERNETES.fullmatch(name)) and (theirs[1] is None or "://" in text):
            continue
        try:
            if path in made.variables:
                raise ValueError(f"says the same as {made.variables[path]}: one of them is enough")
            value = {"file": text} if is_file else _value(text, name)
            made.tree = _put(made.tree, path, value, path)
            made.variables[path] = name
        except ValueError as error:
            made.mistakes.append(f"{name}: {error}")
        except UnreadableError as error:
            made.mistakes.append(str(error))
    return made


def _path(name: str) -> tuple[Path, bool]:
    """Where it belongs, and whether it names a file that holds the secret."""
    parts = name.removeprefix(PREFIX).lower().split("__")
    is_file = parts[-1].endswith("_file")
    parts[-1] = parts[-1].removesuffix("_file")
    return tuple(int(part) if re.fullmatch("[0-9]{1,6}", part) else part for part in parts), is_file


def _value(text: str, name: str) -> Any:
    """Lists and groups are written as YAML, all else as it is."""
    return parse(text, name) if text.lstrip()[:1] in ("[", "{") else FromVariable(text, name)


def _put(tree: Any, path: Path, value: Any, whole: Path) -> Any:
    """A copy of `tree` in which `path` has this value. Raises ValueError where there is no place for it."""
    if not path:
        return value
    part, rest = path[0], path[1:]
    if isinstance(part, int) and isinstance(tree, list | tuple | None):
        items = list(tree or ())
        if part > len(items):
            raise ValueError(f"{dotted(whole[: len(whole) - len(path)])} goes on with number {len(items)}")
        return [*items[:part], _put(items[part] if part < len(items) else None, rest, value, whole), *items[part + 1 :]]
    if isinstance(tree, dict | None):
        return {**(tree or {}), str(part): _put((tree or {}).get(str(part)), rest, value, whole)}
    raise ValueError(f"{dotted(whole[: len(whole) - len(path)]) or 'the top level'} takes no settings by name")


def _referred(tree: Any) -> Iterator[str]:
    """Variables that the file itself takes secrets from may be called as they like."""
    if isinstance(tree, dict):
        if isinstance(tree.get("env"), str):
            yield tree["env"]
        for each in tree.values():
            yield from _referred(each)
    elif isinstance(tree, list):
        for each in tree:
            yield from _referred(each)
