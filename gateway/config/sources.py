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
    lines = [f"  {dotted(path)}: {problem}" for path, problem in _problems(config, ())]
    if lines:
        raise ConfigError("\n".join(["what the configuration refers to:", *lines]))


def _problems(value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    """Files of models and certificates are only read; elsewhere one may still have to be made."""
    if isinstance(value, SecretReference):
        try:
            value.read()
        except ValueError as error:
            yield path, str(error)
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _problems(getattr(value, name), (*path, name))
    elif isinstance(value, tuple):
        for at, each in enumerate(value):
            yield from _problems(each, (*path, at))
    elif isinstance(value, File) and path[0] in {"models", "admin"} and not os.access(value, os.R_OK):
        yield path, _unreadable(value)


def _unreadable(file: File) -> str:
    try:
        file.stat()
    except (FileNotFoundError, NotADirectoryError):
        return f"there is no {file}"
    except OSError:
        pass  # in a closed folder, or under a name that is too long: whether it is there can't be told
    return f"{file} can't be read"
