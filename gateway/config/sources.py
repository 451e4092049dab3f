"""Whether everything is there that a configuration refers to: secrets, certificates, models on this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path as File
from typing import Any

from pydantic import BaseModel

from engines.credentials import SecretReference
from gateway.config.errors import ConfigError
from gateway.config.shape import Path, dotted
from gateway.config.tree import Config


def check_sources(config: Config) -> None:
    """Raises ConfigError with all that is not there or can't be read."""
    lines = [f"  {dotted(path)}: {problem}" for path, problem in _problems(config)]
    if lines:
        raise ConfigError("\n".join(["what the configuration refers to:", *lines]))


def references(value: Any, path: Path = ()) -> Iterator[tuple[Path, SecretReference | File]]:
    """All that is read from elsewhere on this machine: secrets and files, each with its path from here."""
    if isinstance(value, SecretReference | File):
        yield path, value
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from references(getattr(value, name), (*path, name))
    elif isinstance(value, tuple):
        for at, each in enumerate(value):
            yield from references(each, (*path, at))


def _problems(config: Config) -> Iterator[tuple[Path, str]]:
    """Files of models and certificates are only read; elsewhere one may still have to be made."""
    for path, found in references(config):
        if isinstance(found, SecretReference):
            try:
                found.read()
            except ValueError as error:
                yield path, str(error)
        elif path[0] in {"models", "admin"} and not os.access(found, os.R_OK):
            yield path, _unreadable(found)


def _unreadable(file: File) -> str:
    try:
        file.stat()
    except (FileNotFoundError, NotADirectoryError):
        return f"there is no {file}"
    except OSError:
        pass  # in a closed folder, or under a name that is too long: whether it is there can't be told
    return f"{file} can't be read"
