"""Which book a command works with: that of a running gateway, or the database that a configuration names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

from gateway.cli.admin import Access, admin, admin_options, url_of
from gateway.cli.book.api import Book
from gateway.cli.configured import config_option
from gateway.cli.trouble import Mistake


@dataclass(slots=True, frozen=True)
class Place:
    """As given by options."""

    config: Path | None
    access: Access

    @property
    def is_remote(self) -> bool:
        """A file that is named counts more than the environment."""
        return self.config is None and url_of(self.access) is not None

    @property
    def options(self) -> tuple[str, ...]:
        """Those that another command needs to come here, too."""
        given = {"--config": self.config, "--admin-url": self.access.url, "--key-file": self.access.key_file}
        return tuple(word for name, value in given.items() if value for word in (name, str(value)))


def book_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--config` and the options of `admin_options`; the command gets them as `place`, for `book_at`."""

    @wraps(command)
    def collected(*, config: Path | None, access: Access, **others: Any) -> Any:
        return command(place=Place(config, access), **others)

    return config_option(admin_options(collected))


def book_at(place: Place) -> Book:
    """Raises Mistake."""
    if place.config and place.access.url:
        raise Mistake("--config names a database, and --admin-url a running gateway: one of them is enough.")
    if place.is_remote:
        from gateway.cli.book.admin import AdminBook

        return AdminBook(admin(place.access))
    from gateway.cli.book.database import DatabaseBook

    return DatabaseBook(place.config)
