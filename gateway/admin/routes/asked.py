"""Bodies that change something: what may stand in them, and what each field takes."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    RootModel,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from engines import ENGINES
from gateway.config import ModelSpec
from gateway.config.entries import OWN_PATH
from gateway.config.quotas import KeyOverride, Plan, TenantOverride
from gateway.store.records import LABEL, LONGEST
from security.api import PRIORITIES, WEIGHTS

MOST_SHARES = 1_000_000
"""Largest weight of a version."""


def _printable(text: str) -> str:
    if not text.isprintable():
        msg = "takes printable characters only"
        raise ValueError(msg)
    return text


def _whole(value: Any) -> Any:
    """JSON knows one kind of number: 5.0 is 5."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Name = Annotated[str, Field(pattern="^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Weight = Annotated[int, Field(ge=WEIGHTS[0], le=WEIGHTS[-1]), BeforeValidator(_whole)]
Priority = Annotated[int, Field(ge=PRIORITIES[0], le=PRIORITIES[-1]), BeforeValidator(_whole)]
Models = list[Annotated[str, Field(pattern="^[\\x21-\\x7e]{1,257}$")]] | None
Label = Annotated[
    str, Field(max_length=LABEL, json_schema_extra={"pattern": r"^([^\p{C}\p{Z}]|\x20)*$"}), AfterValidator(_printable)
]
Scope = Literal["inference", "routing", "viewer", "operator", "admin"]
Scopes = Annotated[list[Scope], Field(min_length=1, json_schema_extra={"uniqueItems": True})]


class Asked(BaseModel):
    """Fields by name, of which none may be unknown, and nothing is taken for something else: no "5" for 5."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class NewTenant(Asked):
    """`models` null: all of them."""

    name: Name
    plan: Name = "default"
    weight: Weight = 1
    priority: Priority = 0
    models: Models = None


def _untold(schema: dict[str, Any]) -> None:
    del schema["default"]


def _not_given() -> Any:
    """No default to be told: what is left out stays as it is."""
    return Field(None, json_schema_extra=_untold)


class TenantChange(Asked):
    """What is left out stays as it is."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    plan: Name = _not_given()
    weight: Weight = _not_given()
    priority: Priority = _not_given()
    models: Models = _not_given()

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.model_fields_set:
            msg = "takes at least one of plan, weight, priority and models"
            raise ValueError(msg)
        return self


class NewKey(Asked):
    """`models` null: its tenant's; `expires_in` null: good until it is revoked."""

    tenant: Name
    label: Label = ""
    scopes: Scopes = ["inference"]
    models: Models = None
    expires_in: Annotated[int, Field(ge=1, le=LONGEST, description="Seconds."), BeforeValidator(_whole)] | None = None


Share = Annotated[float, Field(ge=0, le=MOST_SHARES, allow_inf_nan=False)]


class Shares(RootModel[Annotated[dict[str, Share], Field(min_length=1)]]):
    """What each version weighs, over the sum of all: one that is left out gets nobody."""

    model_config = ConfigDict(
        frozen=True, strict=True, json_schema_extra={"not": {"additionalProperties": {"const": 0}}}
    )

    @model_validator(mode="after")
    def _somebody(self) -> Self:
        if not any(self.root.values()):
            msg = "the weights sum to 0: no version would get anybody"
            raise ValueError(msg)
        return self


class VersionEntry(RootModel[dict[str, Any]]):
    """As an entry of `models` in the file, whose name and version are those of the path."""

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, inner: GetJsonSchemaHandler) -> JsonSchemaValue:
        """What it may hold is checked with the rest of the configuration, as the file is."""
        whole = inner.resolve_ref_schema(inner(ModelSpec.__pydantic_core_schema__))
        engines = [name for name, engine in ENGINES.items() if not engine.runs_here]
        left = {name: setting for name, setting in whole["properties"].items() if name not in OWN_PATH}
        return {
            **whole,
            "title": cls.__name__,
            "description": cls.__doc__,
            "properties": {**left, "engine": {**left["engine"], "enum": engines}},
            "required": ["engine"],
            "allOf": [each for each in whole["allOf"] if each["if"]["properties"]["engine"]["const"] in engines],
        }


def _without_name(
    entry: type[RootModel[Any]], kind: type[Plan | KeyOverride], inner: GetJsonSchemaHandler
) -> JsonSchemaValue:
    """What it may hold is checked with the rest of the configuration, as the file is."""
    whole = inner.resolve_ref_schema(inner(kind.__pydantic_core_schema__))
    left = {name: setting for name, setting in whole["properties"].items() if name != "name"}
    return {**whole, "title": entry.__name__, "description": entry.__doc__, "properties": left, "required": []}


class PlanEntry(RootModel[dict[str, Any]]):
    """As an entry of `quotas.plans` in the file, whose name is that of the path."""

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, inner: GetJsonSchemaHandler) -> JsonSchemaValue:
        return _without_name(cls, Plan, inner)


class TenantEntry(RootModel[dict[str, Any]]):
    """As an entry of `quotas.overrides.tenants` in the file, whose name is that of the path."""

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, inner: GetJsonSchemaHandler) -> JsonSchemaValue:
        return _without_name(cls, TenantOverride, inner)


class KeyEntry(RootModel[dict[str, Any]]):
    """As an entry of `quotas.overrides.keys` in the file, whose name is that of the path."""

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, inner: GetJsonSchemaHandler) -> JsonSchemaValue:
        return _without_name(cls, KeyOverride, inner)


class Ejection(Asked):
    """For how long; null: until it is restored."""

    seconds: Annotated[float, Field(gt=0, le=LONGEST, allow_inf_nan=False, description="Seconds.")] | None = None


class Rotation(Asked):
    """How long the old key goes on."""

    overlap: Annotated[int, Field(ge=0, le=LONGEST, description="Seconds."), BeforeValidator(_whole)]
