"""The admin listener of a running gateway, for commands: the options that say where it is and who asks."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from gateway.cli.remote import Listener, Remote, key_of
from gateway.cli.trouble import Trouble

T = TypeVar("T")

ADMIN = Listener(
    url="http://127.0.0.1:8082",
    option="--admin-url",
    key_variable="SNOWSHED_ADMIN_KEY",
    absent="one with auth.kind keys opens it within five seconds of its first key with the scope viewer, operator or "
    "admin; start one, make such a key",
)


admin_url_option = click.option(
    "--admin-url", metavar="URL",
    help=f"The admin listener of a running gateway, such as {ADMIN.url}; or $SNOWSHED_ADMIN_URL.",
)  # fmt: skip
certificate_option = click.option(
    "--certificate", type=click.Path(path_type=Path), metavar="FILE",
    help="A PEM file with your certificate and its key, for a listener beyond this machine.",
)  # fmt: skip


@dataclass(slots=True, frozen=True)
class Access:
    """As given by options; `url` None where there is none, which the environment may say."""

    url: str | None
    key_file: Path | None
    certificate: Path | None


def admin_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--admin-url`, `--key-file` and `--certificate`; the command gets them as `access`, for `admin`."""

    @wraps(command)
    def collected(*, admin_url: str | None, key_file: Path | None, certificate: Path | None, **others: Any) -> Any:
        return command(access=Access(admin_url, key_file, certificate), **others)

    key = click.option(
        "--key-file", type=click.Path(path_type=Path), metavar="FILE",
        help=f"A file with a key that has the scope for this; without one, ${ADMIN.key_variable}.",
    )  # fmt: skip
    return admin_url_option(key(certificate_option(collected)))


def asked(gateway: Remote, path: str, kind: type[T], method: str = "GET", body: Any = None) -> T:
    """What the listener answers there, as that kind. Raises Trouble."""
    document = gateway.send(method, path, body)
    try:
        return msgspec.convert(document, kind)
    except msgspec.ValidationError:
        raise Trouble(f"What answers at {gateway.url} is no admin listener of a Snowshed.") from None


def url_of(access: Access) -> str | None:
    """What the option or the environment says."""
    return access.url or os.environ.get("SNOWSHED_ADMIN_URL") or None


def admin(access: Access) -> Remote:
    """The listener that the options and the environment name, or the one at its usual place. Raises Mistake."""
    key = key_of(access.key_file, os.environ.get(ADMIN.key_variable, ""))
    return Remote(url_of(access) or ADMIN.url, key, ADMIN, access.certificate)
