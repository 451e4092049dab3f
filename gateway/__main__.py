"""The command line: `serve` runs the gateway, `pull` fetches the embedded model."""

from __future__ import annotations

import argparse
import gc
import os
import sys
from pathlib import Path

from engines.embedded import weights
from gateway import config as configuration
from gateway.version import VERSION


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
    serve.add_argument(
        "--config", type=Path, metavar="FILE", help="YAML file; without one, the embedded model is served"
    )
    serve.set_defaults(run=_serve)
    pull = commands.add_parser("pull", help="fetch the embedded model, once")
    pull.set_defaults(run=_pull)
    return parser


def _serve(arguments: argparse.Namespace) -> int:
    from gateway.logs import configure
    from gateway.server import Server
    from gateway.wiring import build

    config = configuration.load(arguments.config) if arguments.config else configuration.default()
    configuration.check_exposure(config)
    try:
        gateway = build(config, _cache())
    except ValueError as error:  # a secret that is not where the configuration says
        raise configuration.ConfigError(str(error)) from None
    configure("info", sys.stderr)
    _announce(config)
    gc.collect()
    gc.freeze()  # what start-up made lives for ever: the collector need not walk it again
    gc.set_threshold(50_000, 20, 20)
    Server(gateway).run()
    return 0


def _announce(config: configuration.Config) -> None:
    """Say where it listens, how to try it, and who may: on standard error, standard output is for request records."""
    host, port = config.server.host, config.server.port
    shown = "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104  # compared, not bound
    model = config.models[0].name
    lines = [
        f"Snowshed {VERSION} on http://{host}:{port}, probes and metrics on http://{config.ops.host}:{config.ops.port}",
        "Not authenticated: "
        + (
            "anybody who can reach it may use it." if config.server.open else "this machine only, under loopback names."
        ),
        "Try it:",
        f"""  curl http://{shown}:{port}/v1/chat/completions -H 'content-type: application/json' \\""",
        """    -d '{"model": "%s", "messages": [{"role": "user", "content": "What is the capital of France?"}]}'""" % model,
    ]
    print("\n".join(lines), file=sys.stderr, flush=True)


def _pull(_arguments: argparse.Namespace) -> int:
    try:
        path = weights.pull(_cache(), lambda line: print(line, file=sys.stderr, flush=True))
    except weights.WeightsError as error:
        print(error, file=sys.stderr)
        return 1
    print(path)
    return 0


def _cache() -> Path:
    return weights.default_cache(os.environ, Path.home())


if __name__ == "__main__":
    sys.exit(main())
