"""The model servers of the configuration: each is asked as the gateway would ask it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

from engines.api import EngineError
from engines.embedded import weights
from engines.embedded.engine import EmbeddedOptions
from gateway.cli.doctor.finding import Finding
from gateway.config import Config, ModelSpec
from gateway.wiring import Gateway, build
from router.api import Replica

SECONDS = 10.0
"""For an answer to a probe."""
OWN_MODELS = {"embedded", "tensorrt_llm"}
"""Engines that load a model into this machine's memory."""


def files(config: Config, cache: Path) -> Iterator[Finding]:
    """The files of embedded models."""
    options = [one for model in config.models for one in model.replicas if isinstance(one, EmbeddedOptions)]
    for path in dict.fromkeys(one.model_path for one in options):
        yield _fetched(cache) if path is None else _own_file(path)


def _fetched(cache: Path) -> Finding:
    if path := weights.locate(cache):
        return Finding("ok", "model file", f"{path} is whole, by its hash")
    file = cache / weights.SMOLLM2.file
    try:
        file.stat()
        what = f"{file} is not the file it should be, by its hash"
    except (FileNotFoundError, NotADirectoryError):
        what = f"there is none in {cache}"
    except OSError as error:
        return Finding(
            "wrong", "model file", f"{cache} can't be used: {error.strerror}", "set SNOWSHED_CACHE to a folder"
        )
    return Finding("wrong", "model file", what, "fetch it: snowshed model pull")


def _own_file(path: Path) -> Finding:
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        return Finding("wrong", "model file", f"{path}: {error.strerror}", "mend model_path in the configuration")
    if magic != b"GGUF":
        return Finding("wrong", "model file", f"{path} is no GGUF file", "mend model_path in the configuration")
    return Finding("ok", "model file", f"{path} is a GGUF file")


def look(config: Config, cache: Path, *, running: bool) -> list[Finding]:
    """A line per replica, and per version that has none.

    Models that a `running` gateway has in memory are not loaded once more. Raises ValueError for a secret that is not
    where the configuration says.
    """
    return asyncio.run(_look(build(config, cache), running=running))


async def _look(gateway: Gateway, *, running: bool) -> list[Finding]:
    await gateway.upstreams.locate()
    homes = gateway.upstreams.homes
    engines = {replica.name: spec.engine for spec in gateway.config.models for replica in homes[spec.label]}
    sweeping = asyncio.create_task(gateway.edge.sweeper.run(lambda _: None))
    try:
        replicas = gateway.upstreams.replicas
        found = await asyncio.gather(*(_ask(one, engines[one.name], running=running) for one in replicas))
    finally:
        sweeping.cancel()
    return [*found, *(_nobody(spec) for spec in gateway.config.models if not homes[spec.label])]


def _nobody(spec: ModelSpec) -> Finding:
    assert spec.discover is not None  # else it has one at least
    what = f"no address of {spec.discover.host} can be had"
    return Finding("wrong", f"model {spec.label}", what, "see that this is its name, and that model servers run there")


async def _ask(replica: Replica, engine: str, *, running: bool) -> Finding:
    subject = f"replica {replica.name}"
    if engine in OWN_MODELS and running:
        return Finding("ok", subject, f"{engine}; in the running gateway's memory, and not loaded again")
    if engine == "tensorrt_llm":
        return Finding("note", subject, "not tried: loading its model takes minutes", "see what serve says of it")
    try:
        await replica.engine.start()
        async with asyncio.timeout(SECONDS):
            health = await replica.engine.probe()
        if health.ready:
            return Finding("ok", subject, f"{engine}; ready")
        reason = health.reason
    except TimeoutError:
        reason = f"no answer to a probe within {SECONDS:g} s"
    except EngineError as error:
        reason = str(error)
    finally:
        await replica.engine.aclose()
    return Finding("wrong", subject, f"{engine}; {reason}", _advice(engine))


def _advice(engine: str) -> str:
    if engine == "embedded":
        return "see the model file above"
    address = "address up to and including /v1" if engine == "openai" else "address"
    return f"see that the model server runs, and that the configuration has its {address}, its model and key"
