"""The table of who may do what: each role more than the one before it, and no key more than whoever gives it away."""

from __future__ import annotations

from itertools import chain, combinations

import pytest

from gateway.admin import roles
from gateway.admin.roles import ADMIN, OPERATOR, VIEWER, for_key, for_method, require, role
from security.api import SCOPES, Forbidden

EVERY = [set(some) for some in chain.from_iterable(combinations(SCOPES, size) for size in range(len(SCOPES) + 1))]


def test_the_roles_in_their_order() -> None:
    assert roles.ROLES == (VIEWER, OPERATOR, ADMIN) == ("viewer", "operator", "admin")


@pytest.mark.parametrize("scopes", EVERY, ids=lambda it: "+".join(sorted(it)) or "none")
def test_the_highest_counts_and_brings_what_is_below_it(scopes: set[str]) -> None:
    expected = {"admin": 3, "operator": 2, "viewer": 1}
    rank = max((expected.get(scope, 0) for scope in scopes), default=0)
    assert role(scopes) == [None, *roles.ROLES][rank]
    for number, least in enumerate(roles.ROLES, 1):
        if rank >= number:
            require(scopes, least)
        else:
            with pytest.raises(Forbidden) as refused:
                require(scopes, least)
            assert refused.value.scope == least


@pytest.mark.parametrize(
    ("method", "least"),
    [("GET", VIEWER), ("HEAD", VIEWER), *((it, OPERATOR) for it in ("POST", "PATCH", "PUT", "DELETE", "OPTIONS", "X"))],
)
def test_only_looking_takes_no_more_than_a_viewer(method: str, least: str) -> None:
    assert for_method(method) == least


@pytest.mark.parametrize("scopes", EVERY, ids=lambda it: "+".join(sorted(it)) or "none")
def test_whoever_gives_a_key_away_has_what_it_has(scopes: set[str]) -> None:
    assert for_key(scopes) == (OPERATOR if scopes <= {"inference", "routing"} else ADMIN)
