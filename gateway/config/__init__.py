"""What an operator may set: one frozen tree, from YAML and the environment, every mistake reported at once."""

from __future__ import annotations

from gateway.config.errors import ConfigError
from gateway.config.loading import check, load
from gateway.config.models import ModelSpec
from gateway.config.routing import RoutingSpec
from gateway.config.sources import check_sources
from gateway.config.tree import Config, check_exposure

__all__ = [
    "Config",
    "ConfigError",
    "ModelSpec",
    "RoutingSpec",
    "check",
    "check_exposure",
    "check_sources",
    "load",
]
