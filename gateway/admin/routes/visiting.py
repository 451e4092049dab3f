"""The caller, as an endpoint asks for them."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from gateway.admin.entry import Visitor


async def _visitor(request: Request) -> Visitor:
    visitor: Visitor = request.state.visitor  # put there by Entry
    return visitor


Caller = Annotated[Visitor, Depends(_visitor)]
