"""How many examples hypothesis tries where a hundred are too few."""

from __future__ import annotations

from hypothesis import settings


def thorough(examples: int) -> settings:
    """At least so many; a profile that wants more, as `make prove` does, gets its own number."""
    return settings(max_examples=max(examples, settings.default.max_examples if settings.default else 0))
