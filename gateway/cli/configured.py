"""What several commands need of the configuration: the option that names its file, and the reading of it.

Help and completion import every command, so what it takes to read a configuration is imported by whoever reads one.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli.trouble import Mistake

if TYPE_CHECKING:
    from gateway.config import Config

config_option = click.option(
    "--config",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="YAML file; without one, the embedded model is served.",
)


def read(path: Path | None) -> Config:
    """What `serve` would run with. Raises Mistake."""
    from gateway import config as configuration

    try:
        config = configuration.load(path, os.environ)
        configuration.check_exposure(config)
    except configuration.ConfigError as error:
        raise Mistake(str(error)) from None
    return config


def cache() -> Path:
    """The folder for what is fetched once. Raises Mistake."""
    from engines.embedded.weights import default_cache

    try:
        home = Path.home()
    except RuntimeError:  # no HOME, and a user that the system has not heard of
        home = Path("~")
    folder = default_cache(os.environ, home)
    if folder.is_relative_to("~"):
        raise Mistake("There is no home folder to keep a model in: set SNOWSHED_CACHE to a folder.")
    return folder
