"""A configuration as its file would say it, without secrets."""

from __future__ import annotations

import re
from typing import Any

from gateway.config.shape import Path, settings_beside
from gateway.config.tree import Config

BLANK = "********"

_NAMES = re.compile(r"(?:^|_)(?:secret|password|passphrase|token|key)$", re.IGNORECASE)
_PASSWORDS = re.compile(r"(://[^/?#@:]*:)[^/?#]*(?=@)")


def shown(config: Config, *, effective: bool) -> dict[str, Any]:
    """Plain values: what is set, or if `effective` every setting with what holds. `load` reads them alike."""
    tree = config.model_dump(mode="json", exclude_unset=not effective)
    blanked: dict[str, Any] = _blanked(tree, (), tree)
    return blanked


def _blanked(value: Any, path: Path, tree: Any) -> Any:
    """Settings only refer to secrets; but free-form arguments and URLs may hold what they should not."""
    if isinstance(value, dict):
        return {name: _blanked(each, (*path, name), tree) for name, each in value.items()}
    if isinstance(value, list):
        return [_blanked(each, (*path, at), tree) for at, each in enumerate(value)]
    if not isinstance(value, str):
        return value
    is_free = path[-1] not in settings_beside(path, tree) and not isinstance(path[-1], int)
    return BLANK if is_free and _NAMES.search(str(path[-1])) else _PASSWORDS.sub(rf"\1{BLANK}", value)
