"""From a file and the environment to a configuration, or to one report of every mistake in them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from gateway.config.errors import ConfigError
from gateway.config.mistakes import told
from gateway.config.strict_yaml import UnreadableError, parse
from gateway.config.tree import DEFAULT_MODELS, Config
from gateway.config.truth import told_apart
from gateway.config.variables import overlay

NOTHING: Mapping[str, str] = MappingProxyType({})
LONGEST = 1 << 20
"""Bytes of a file."""


def load(path: Path | None, environment: Mapping[str, str] = NOTHING) -> Config:
    """What a YAML file says, or without one the defaults, and over it the variables of the environment.

    Raises ConfigError with every mistake in them.
    """
    if path is None:
        return check({"models": DEFAULT_MODELS}, "environment", environment)
    try:
        with path.open("rb") as file:
            content = file.read(LONGEST + 1)
        if len(content) > LONGEST:
            raise ConfigError(f"{path}: longer than {LONGEST} bytes")
        tree = parse(content.decode(), str(path))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not UTF-8") from None
    except UnreadableError as error:
        raise ConfigError(str(error)) from None
    return check(tree, str(path), environment)


def check(tree: Any, source: str, environment: Mapping[str, str] = NOTHING) -> Config:
    """A tree of plain values as a Config. Raises ConfigError with every mistake in it."""
    found = overlay(tree if tree is not None else {}, environment)
    lines = found.mistakes
    try:
        config = Config.model_validate(told_apart(found.tree))
    except ValidationError as error:
        lines.extend(told(error, found.tree, found.variables))
    else:
        if not lines:
            return config
    raise ConfigError("\n".join([f"{source}:", *(f"  {line}" for line in lines)]))
