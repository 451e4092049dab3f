"""What several commands need of the configuration: the option that names its file, and the reading of it."""

from __future__ import annotations

import os
from pathlib import Path

import click

from engines.embedded import weights
from gateway import config as configuration
from gateway.cli.trouble import Mistake
from gateway.config import Config

config_option = click.option(
    "--config",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="YAML file; without one, the embedded model is served.",
)


def read(path: Path | None) -> Config:
    """What `serve` would run with. Raises Mistake."""
    try:
        config = configuration.load(path, os.environ)
        configuration.check_exposure(config)
    except configuration.ConfigError as error:
        raise Mistake(str(error)) from None
    return config


def cache() -> Path:
    """The folder for what is fetched once."""
    return weights.default_cache(os.environ, Path.home())
