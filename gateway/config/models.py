"""A version of a model that clients may call, and the options of the engine that it runs on."""

from __future__ import annotations

from types import GenericAlias
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    Field,
    GetJsonSchemaHandler,
    SerializeAsAny,
    TypeAdapter,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from engines import ENGINES
from engines.api import Adapting, Capacity
from engines.choices import OneOf
from engines.units import Duration
from gateway.config.admission import OwnStartWithin, ReplicaLimits, StartWithin
from gateway.config.sections import Section
from gateway.config.values import Host, Name, Printable, VersionName
from router.policies import POLICIES

PLACEHOLDER = "{address}"
"""Where the address of a replica that is found by DNS goes."""


class DiscoverSpec(Section):
    """A host that has an address per replica, as a headless service of Kubernetes; it is asked again and again."""

    host: Host = Field(description="Its name.", examples=["vllm.models.svc"])
    every: Duration = Field(5.0, ge=0.1, le=3600, description="How often it is asked.")


class ModelSpec(Section):
    """A version of a public model and where it runs: an engine's kind, and that engine's options once per replica."""

    name: Name = Field(description="What clients call it.", examples=["chat"])
    version: VersionName = Field("1", description="Tells entries of one name apart: each is a version of that model.")
    weight: float = Field(
        1.0,
        ge=0,
        allow_inf_nan=False,
        description="The version's share of callers, over the sum of all versions' weights; 0 gets none.",
    )
    engine: Annotated[str, OneOf(ENGINES)] = Field(description="What it runs on.", examples=["openai"])
    upstream: Printable = Field("", description="What the model server calls it; empty means the name.")
    max_tokens: int = Field(1024, ge=1, le=1 << 24, description="Token cap sent when the caller gives none.")
    cap_field: Literal["max_tokens", "max_completion_tokens"] = Field(
        "max_tokens", description="The one field under which the cap is sent to an openai replica."
    )
    policy: Annotated[str, OneOf(POLICIES)] = Field("least_loaded", description="How a replica is chosen.")
    limits: ReplicaLimits | None = Field(
        None, description="What one replica may have at a time, in place of what its engine says it takes."
    )
    start_within: OwnStartWithin | None = Field(
        None,
        description="How long a request of each class may wait for its start here, in place of what holds for all.",
    )
    discover: DiscoverSpec | None = Field(
        None,
        description="Where replicas come and go: one for each address of a host. Their options are then listed once, "
        "with {address} in the url.",
    )
    replicas: tuple[SerializeAsAny[BaseModel], ...] = Field(
        default_factory=lambda: ({},), validate_default=True, description="The engine's own options, once per replica."
    )

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
        if any("@" in adapter for adapter in self.adapters):
            msg = "an adapter's name takes no @: callers write it before a version's name"
            raise ValueError(msg)
        if (self.upstream or self.name).rpartition(":")[2] in self.adapters:
            msg = "a model can't be called like one of its adapters"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _listed_or_found(self) -> Self:
        templates = sum(bool(_to_fill(options)) for options in self.replicas)
        if self.discover is None and templates:
            msg = "{address} in replicas is for discover, which says where to look"
            raise ValueError(msg)
        if self.discover is not None and (templates, len(self.replicas)) != (1, 1):
            msg = "discover takes one entry in replicas, with {address} in its url"
            raise ValueError(msg)
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, inner: GetJsonSchemaHandler) -> JsonSchemaValue:
        """As the validation has it: the engine says which options its replicas take."""
        reference = inner(schema)
        whole = inner.resolve_ref_schema(reference)
        whole["properties"]["replicas"] |= {"items": {"type": "object"}, "minItems": 1}
        whole["allOf"] = [
            {"if": {"properties": {"engine": {"const": name}}}, "then": _replicas_schema(engine.Options, inner)}
            for name, engine in ENGINES.items()
        ]
        return reference

    def replica_at(self, address: str) -> BaseModel:
        """The options of the replica at one of the addresses that were found."""
        host = f"[{address}]" if ":" in address else address
        template = self.replicas[0]
        filled = {name: text.replace(PLACEHOLDER, host) for name, text in _to_fill(template).items()}
        return template.model_copy(update=filled)

    def patience(self, general: StartWithin) -> tuple[float, float, float]:
        """Seconds that a request may wait for its start, by class, the most urgent first."""
        engine = ENGINES[self.engine].patience
        waits = (engine, engine, engine) if engine else (general.critical, general.standard, general.batch)
        return self.start_within.over(waits) if self.start_within else waits

    @property
    def capacity(self) -> Capacity:
        """What one replica may have at a time, as far as it is set here."""
        return self.limits.capacity if self.limits else Capacity()

    @property
    def adapters(self) -> tuple[str, ...]:
        """Those that each of its replicas has."""
        return _adapters(self.replicas[0]) if self.replicas else ()

    @property
    def label(self) -> str:
        """Tells it from all versions of all models."""
        return f"{self.name}@{self.version}"

    @property
    def home(self) -> str:
        """What its replicas are called by, each with its number after it: the name alone while that will do."""
        return self.name if self.version == type(self).model_fields["version"].default else self.label

    @property
    def names(self) -> tuple[str, ...]:
        """What clients may call: the model, and it with each adapter."""
        return (self.name, *(f"{self.name}:{adapter}" for adapter in self.adapters))


def _replicas_schema(options: type[BaseModel], inner: GetJsonSchemaHandler) -> JsonSchemaValue:
    """Without any, an engine runs once with nothing but defaults, if it can."""
    taken: JsonSchemaValue = {"properties": {"replicas": {"items": inner(options.__pydantic_core_schema__)}}}
    needed = any(field.is_required() for field in options.model_fields.values())
    return {**taken, "required": ["replicas"]} if needed else taken


def _adapters(options: BaseModel) -> tuple[str, ...]:
    return options.adapter_names if isinstance(options, Adapting) else ()


def _to_fill(options: BaseModel) -> dict[str, str]:
    """Settings in which an address is left open, of an engine whose replicas have one."""
    if "url" not in type(options).model_fields:
        return {}
    return {name: value for name, value in options if isinstance(value, str) and PLACEHOLDER in value}
