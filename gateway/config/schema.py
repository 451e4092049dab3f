"""The configuration as a JSON schema, for editors and for machines that write it."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from gateway.config.tree import Config


class _Plain(GenerateJsonSchema):
    def field_title_should_be_set(self, schema: Any) -> bool:
        """Titles would only repeat the names."""
        return False


def schema() -> dict[str, Any]:
    """In JSON Schema's draft 2020-12."""
    made = Config.model_json_schema(schema_generator=_Plain)
    return {"$schema": GenerateJsonSchema.schema_dialect, **made, "title": "Configuration of Snowshed"}
