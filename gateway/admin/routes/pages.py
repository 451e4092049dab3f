"""Long lists, a page at a time: what is asked for, and what comes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from gateway.store.records import PAGE


class PageAsked(BaseModel):
    """Parameters of a URL; others are mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    after: str = Field("", max_length=257, description="What the page before said as `next`.")
    limit: int = Field(100, ge=1, le=PAGE, description="Most entries of this page.")


Page = Annotated[PageAsked, Query()]


def page(rows: Sequence[Any], limit: int, name: str) -> dict[str, Any]:
    """`next` is None on the last page, which may be empty; `name` is the field by which rows are in order."""
    return {"data": rows, "next": getattr(rows[-1], name) if len(rows) == limit else None}
