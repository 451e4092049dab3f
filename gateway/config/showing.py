"""A configuration as its file would say it, without secrets."""

from __future__ import annotations

import re
from typing import Any

from gateway.config.shape import Path, settings_beside
from gateway.config.tree import Config

BLANK = "********"

_WORDS = r"(?:secret|pass|password|passwd|pwd|passphrase|authorization|credential|token|(?:api)?key)s?"
_NAME = re.compile(rf"(?:^|[_.-]|(?<=[a-z])(?=[A-Z]))(?i:{_WORDS})$").search
_PASSWORD = re.compile(r"(://[^/?#@:]*:)[^/?#]*(?=@)")
_QUERY = re.compile(rf"([?&](?:[^=&#]*[_.-])?{_WORDS}=)[^&#]*", re.IGNORECASE)


def shown(config: Config, *, effective: bool) -> dict[str, Any]:
    """Plain values: what is set, or if `effective` every setting with what holds. `load` reads them alike."""
    tree = config.model_dump(mode="json", exclude_unset=not effective)
    blanked: dict[str, Any] = _blanked(tree, (), tree)
    return blanked


def _blanked(value: Any, path: Path, tree: Any) -> Any:
    """Settings only refer to secrets; but free-form arguments and URLs may hold what they should not."""
    if path and _is_free(path, tree) and _NAME(str(path[-1])):
        return _without_text(value)
    if isinstance(value, dict):
        return {name: _blanked(each, (*path, name), tree) for name, each in value.items()}
    if isinstance(value, list):
        return [_blanked(each, (*path, at), tree) for at, each in enumerate(value)]
    if not isinstance(value, str):
        return value
    return _QUERY.sub(rf"\1{BLANK}", _PASSWORD.sub(rf"\1{BLANK}", value))


def _is_free(path: Path, tree: Any) -> bool:
    """Whether it is called as its writer liked, not as a setting of ours."""
    return not isinstance(path[-1], int) and path[-1] not in settings_beside(path, tree)


def _without_text(value: Any) -> Any:
    """Lists and groups keep their form, and numbers count something: `max_num_tokens`."""
    if isinstance(value, dict):
        return {name: _without_text(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_without_text(each) for each in value]
    return BLANK if isinstance(value, str) else value
