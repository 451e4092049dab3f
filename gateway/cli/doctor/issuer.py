"""The issuer of tokens, if the configuration trusts one: it is asked for its keys as the gateway would ask it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from gateway.authentication import tokens
from gateway.cli.doctor.finding import Finding
from gateway.config import Config

SUBJECT = "tokens"


def look(config: Config) -> Iterator[Finding]:
    """A line, if tokens are good for something."""
    options = config.auth.jwt
    if options is None:
        return
    try:
        checks = tokens(options)
    except ValueError as absent:
        yield Finding("wrong", SUBJECT, str(absent), "install it, or take auth.jwt out of the configuration")
        return
    asyncio.run(checks.start())
    if checks.trouble:
        what = checks.trouble.removeprefix(f"{SUBJECT}: ")
        yield Finding("wrong", SUBJECT, f"{options.issuer}: {what}", "see that auth.jwt says where it is")
    else:
        yield Finding("ok", SUBJECT, f"{options.issuer} publishes keys that tokens can be checked with")
