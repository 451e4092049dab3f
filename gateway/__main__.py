"""The command line: `serve` runs the gateway, `pull` fetches the embedded model."""

from __future__ import annotations

import argparse
import gc
import os
import sys
from pathlib import Path

from engines.embedded import weights
from engines.embedded.engine import EmbeddedOptions
from gateway import config as configuration


def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 after a clean stop, 1 if something can't be had, 2 for mistakes in the call or configuration."""
    arguments = _parser().parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except configuration.ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="snowshed", description="An OpenAI-compatible gateway in front of LLM servers."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    serve = commands.add_parser("serve", help="run the gateway")
    serve.set_defaults(run=_serve)
    pull = commands.add_parser("pull", help="fetch the embedded model, once, if the configuration serves it")
    pull.set_defaults(run=_pull)
    for command in (serve, pull):
        command.add_argument(
            "--config", type=Path, metavar="FILE", help="YAML file; without one, the embedded model is served"
        )
    return parser


def _serve(arguments: argparse.Namespace) -> int:
    from gateway.logs import configure
    from gateway.server import Server
    from gateway.wiring import build

    config = _config(arguments)
    try:
        gateway = build(config, _cache())
    except ValueError as error:  # a secret that is not where the configuration says
        raise configuration.ConfigError(str(error)) from None
    configure("info", sys.stderr)
    gc.collect()
    gc.freeze()  # what start-up made lives for ever: the collector need not walk it again
    gc.set_threshold(50_000, 20, 20)
    Server(gateway, lambda lines: print(f"{lines}\n", end="", file=sys.stderr, flush=True)).run()
    return 0


def _pull(arguments: argparse.Namespace) -> int:
    options = [replica for model in _config(arguments).models for replica in model.replicas]
    if not any(isinstance(one, EmbeddedOptions) and one.model_path is None for one in options):
        return 0
    try:
        weights.pull(_cache(), lambda line: print(line, file=sys.stderr, flush=True))
    except weights.WeightsError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _config(arguments: argparse.Namespace) -> configuration.Config:
    config = configuration.load(arguments.config) if arguments.config else configuration.default()
    configuration.check_exposure(config)
    return config


def _cache() -> Path:
    return weights.default_cache(os.environ, Path.home())


if __name__ == "__main__":
    sys.exit(main())
