"""What an operator may set: one frozen tree, read from YAML, every mistake reported at once with its path."""

from __future__ import annotations

import re
from pathlib import Path
from types import GenericAlias
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializeAsAny,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from engines import ENGINES
from engines.api import Adapting
from gateway.strict_yaml import StrictLoader
from router.policies import POLICIES
from security.exposure import is_loopback

DEFAULT_MODEL = "smollm2-135m-instruct"

_PLAIN = {
    "extra_forbidden": "there is no such setting",
    "missing": "is required",
    "model_type": "takes settings by name, as in {name: value}",
    "tuple_type": "takes a list",
}
"""pydantic's words where they speak of Python, in those of the file."""


class ConfigError(Exception):
    """What is wrong with the configuration, a line per mistake, fit for a terminal."""


def _name(value: str) -> str:
    if not re.fullmatch(r"[\x21-\x7e]{1,128}", value):
        msg = "takes 1 to 128 printable ASCII characters without spaces"
        raise ValueError(msg)
    return value


def _one_of(known: Any) -> AfterValidator:
    def check(value: str) -> str:
        if value not in known:
            msg = f"must be one of {', '.join(known)}"
            raise ValueError(msg)
        return value

    return AfterValidator(check)


def _printable(value: str) -> str:
    if not value.isprintable():
        msg = "takes printable characters only"
        raise ValueError(msg)
    return value


def _adapters(options: BaseModel) -> tuple[str, ...]:
    return options.adapter_names if isinstance(options, Adapting) else ()


Name = Annotated[str, AfterValidator(_name)]
Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(gt=0, le=86400)]
Bytes = Annotated[int, Field(ge=1024, le=1 << 34)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Server(_Section):
    """The public listener. Without authentication it must stay on loopback, unless `open` says that this is meant."""

    host: str = "127.0.0.1"
    port: Port = 8080
    open: bool = False
    names: tuple[str, ...] = ()
    drain_delay: float = Field(default=2.0, ge=0, le=3600)
    drain_cap: Seconds = 120.0


class Ops(_Section):
    """The listener for probes and scrapes."""

    host: str = "127.0.0.1"
    port: Port = 8081


class Limits(_Section):
    """Sizes in bytes."""

    head: Bytes = 32 * 1024
    body: Bytes = 8 * 1024 * 1024
    bodies: Bytes = 256 * 1024 * 1024
    connections: int = Field(default=10_000, ge=1)


class Timeouts(_Section):
    """In seconds."""

    head: Seconds = 10.0
    body: Seconds = 30.0
    idle: Seconds = 75.0
    stall: Seconds = 30.0
    connect: Seconds = 5.0
    first_token: Seconds = 120.0
    inter_token: Seconds = 60.0
    total: Seconds = 600.0
    comment_grace: Seconds = 10.0
    comment_every: Seconds = 10.0


class ModelSpec(_Section):
    """A public model name and where it runs: an engine's kind, and one set of that engine's options per replica."""

    name: Name
    engine: Annotated[str, _one_of(ENGINES)]
    upstream: Annotated[str, AfterValidator(_printable)] = ""
    max_tokens: int = Field(default=1024, ge=1, le=1 << 24)
    cap_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    policy: Annotated[str, _one_of(POLICIES)] = "round_robin"
    replicas: tuple[SerializeAsAny[BaseModel], ...] = Field(default_factory=lambda: ({},), validate_default=True)

    @field_validator("replicas", mode="before")
    @classmethod
    def _engine_options(cls, given: Any, info: ValidationInfo) -> Any:
        """Each replica is checked against the options of the engine that its model names."""
        engine = info.data.get("engine")
        if engine is None:
            return ()  # that is a mistake of its own; without the engine there is nothing to check against
        if not isinstance(given, list | tuple) or not given:
            msg = "takes a list with at least one entry"
            raise ValueError(msg)
        replicas: Any = GenericAlias(tuple, (ENGINES[engine].Options, ...))
        return TypeAdapter(replicas).validate_python(given)

    @model_validator(mode="after")
    def _same_adapters(self) -> Self:
        if any(set(_adapters(it)) != set(self.adapters) for it in self.replicas):
            msg = "replicas must list the same adapters"
            raise ValueError(msg)
        if (self.upstream or self.name).rpartition(":")[2] in self.adapters:
            msg = "a model can't be called like one of its adapters"
            raise ValueError(msg)
        return self

    @property
    def adapters(self) -> tuple[str, ...]:
        """Those that each of its replicas has."""
        return _adapters(self.replicas[0]) if self.replicas else ()

    @property
    def names(self) -> tuple[str, ...]:
        """What clients may call: the model, and it with each adapter."""
        return (self.name, *(f"{self.name}:{adapter}" for adapter in self.adapters))


class Config(_Section):
    """Everything. Without a file: the embedded model, on loopback."""

    server: Server = Server()
    ops: Ops = Ops()
    limits: Limits = Limits()
    timeouts: Timeouts = Timeouts()
    models: tuple[ModelSpec, ...]

    @field_validator("models")
    @classmethod
    def _some_and_distinct(cls, models: tuple[ModelSpec, ...]) -> tuple[ModelSpec, ...]:
        if not models:
            msg = "takes a list with at least one entry"
            raise ValueError(msg)
        names = [name for model in models for name in model.names]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            msg = f"named twice: {', '.join(twice)}"
            raise ValueError(msg)
        return models

    @model_validator(mode="after")
    def _one_door(self) -> Self:
        if self.server.port == self.ops.port != 0 and self.server.host == self.ops.host:
            msg = "server.port and ops.port must differ"
            raise ValueError(msg)
        return self


def default() -> Config:
    """What runs when nothing is configured."""
    return Config.model_validate({"models": [{"name": DEFAULT_MODEL, "engine": "embedded"}]})


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
    """A tree of plain values as a Config. Raises ConfigError, without values: they may be misplaced secrets."""
    try:
        return Config.model_validate(tree if tree is not None else {})
    except ValidationError as error:
        lines = [f"{source}:"]
        for found in error.errors(include_input=False, include_url=False):
            where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in found["loc"]).lstrip(".")
            what = _PLAIN.get(found["type"]) or found["msg"].removeprefix("Value error, ")
            lines.append(f"  {where or '(top level)'}: {what}")
        raise ConfigError("\n".join(lines)) from None


def check_exposure(config: Config) -> None:
    """Refuse to serve strangers by accident. Raises ConfigError."""
    server = config.server
    if not server.open and not is_loopback(server.host):
        msg = (
            f"server.host: {server.host} is reachable from other machines, and requests are not authenticated yet. "
            "Bind to 127.0.0.1, or set server.open: true if everybody who can reach it may use it."
        )
        raise ConfigError(msg)
