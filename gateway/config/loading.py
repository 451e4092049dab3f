"""From a file to a configuration, or to one report of every mistake in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from gateway.config.mistakes import ConfigError, told
from gateway.config.strict_yaml import StrictLoader
from gateway.config.tree import Config


def load(path: Path) -> Config:
    """Read a YAML file. Raises ConfigError with every mistake in it."""
    try:
        tree = yaml.load(path.read_text(encoding="utf-8"), StrictLoader)  # noqa: S506  # a safe one
    except OSError as error:
        msg = f"{path}: {error.strerror}"
        raise ConfigError(msg) from None
    except UnicodeDecodeError:
        msg = f"{path}: not UTF-8"
        raise ConfigError(msg) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)  # its snippet of the file is not shown: it may hold a secret
        where = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        msg = f"{where}: not readable as YAML: {getattr(error, 'problem', None) or 'odd characters'}"
        raise ConfigError(msg) from None
    return check(tree, str(path))


def check(tree: Any, source: str) -> Config:
    """A tree of plain values as a Config. Raises ConfigError with every mistake in it."""
    try:
        return Config.model_validate(tree if tree is not None else {})
    except ValidationError as error:
        raise ConfigError("\n".join([f"{source}:", *(f"  {line}" for line in told(error))])) from None
