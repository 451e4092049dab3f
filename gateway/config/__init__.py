"""What an operator may set: one frozen tree, read from YAML, every mistake reported at once with its path."""

from __future__ import annotations

from gateway.config.loading import check, load
from gateway.config.mistakes import ConfigError
from gateway.config.models import ModelSpec
from gateway.config.tree import DEFAULT_MODEL, Config, check_exposure, default

__all__ = ["DEFAULT_MODEL", "Config", "ConfigError", "ModelSpec", "check", "check_exposure", "default", "load"]
