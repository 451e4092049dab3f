"""What requests have used: added up by day, tenant, key, model and version, and one by one."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from datetime import date
from types import GenericAlias
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Query
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from starlette.responses import Response

from gateway.admin.routes.answers import SpentPage, SumPage, answer, documented
from gateway.store.bounded import BoundedRegistry
from gateway.store.records import PAGE, RegistryError
from gateway.store.spending import FIELDS, Wanted, in_order, parted

LONGEST_MARK: Final = 2000
"""Characters of a `next`: of the longest names."""
_FIELD: Final = "|".join(FIELDS)
_Row = tuple[Annotated[int, msgspec.Meta(ge=0, le=1 << 53)], str]


def _written(value: Any) -> Any:
    """As days are written alone: not as seconds since 1970, nor with a time."""
    if isinstance(value, str) and not re.fullmatch(r"\d{4}-\d{2}-\d{2}", value, re.ASCII):
        msg = "takes a day such as 2027-01-31"
        raise ValueError(msg)
    return value


Day = Annotated[date | None, BeforeValidator(_written)]


class UsageAsked(BaseModel):
    """Parameters of a URL; others are mistakes. Days are those of UTC."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    after: str = Field("", max_length=LONGEST_MARK, description="What the page before said as `next`.")
    limit: int = Field(100, ge=1, le=PAGE, description="Most entries of this page.")
    first: Day = Field(None, alias="from", description="Only requests that came in on this day or later.")
    last: Day = Field(None, alias="to", description="Only requests that came in on this day or before.")
    tenant: str | None = Field(None, max_length=64, description="Only those of this tenant.")
    key: str | None = Field(None, max_length=128, description="Only those of the key with this id.")
    model: str | None = Field(None, max_length=128, description="Only those for this model.")

    @property
    def wanted(self) -> Wanted:
        return Wanted(first=self.first, last=self.last, tenant=self.tenant, key=self.key, model=self.model)


class SumsAsked(UsageAsked):
    """What they are parted by as well."""

    by: str = Field(
        "day,tenant,model",
        pattern=f"^({_FIELD})(,({_FIELD}))*$",
        description=f"Which of {', '.join(FIELDS)} sums are parted by; they come in this order.",
    )


def routes(registry: BoundedRegistry) -> APIRouter:
    """/v1/usage and what is below it."""
    router = APIRouter(prefix="/usage", tags=["usage"])

    @router.get("", openapi_extra=documented(SumPage))
    async def list_sums(asked: Annotated[SumsAsked, Query()]) -> Response:
        """What requests have used together, until a second ago."""
        by = in_order(asked.by.split(","))
        kinds: Any = GenericAlias(tuple, tuple(date if field == "day" else str for field in by))
        after = _unmarked(asked.after, kinds) if asked.after else ()
        found = await registry.ask(lambda them: them.usage.sums(by, asked.wanted, after, asked.limit))
        return answer({"data": found, "next": _next(found, asked.limit, lambda last: parted(last, by))})

    @router.get("/requests", openapi_extra=documented(SpentPage))
    async def list_requests(asked: Annotated[UsageAsked, Query()]) -> Response:
        """What each has used, by the time it came in, as long as that is kept."""
        after = _unmarked(asked.after, _Row) if asked.after else None
        found = await registry.ask(lambda them: them.usage.rows(asked.wanted, after, asked.limit))
        return answer({"data": found, "next": _next(found, asked.limit, lambda last: (last.at, last.id))})

    return router


def _next(found: Sequence[Any], limit: int, values: Any) -> str | None:
    """None on the last page, which may be empty."""
    return urlsafe_b64encode(msgspec.json.encode(values(found[-1]))).decode() if len(found) == limit else None


def _unmarked(mark: str, kind: Any) -> Any:
    """Raises RegistryError for what is no `next` of ours."""
    try:
        return msgspec.json.decode(urlsafe_b64decode(mark), type=kind)
    except (ValueError, msgspec.DecodeError):
        raise RegistryError("Takes what the page before said as `next`, with the same `by`.", "after") from None
