"""Versions and replicas of a running gateway, for commands that show and steer them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec

from gateway.cli.admin import asked
from gateway.cli.output import print_json, print_table
from gateway.cli.remote import Remote
from gateway.cli.trouble import Mistake, Trouble

if TYPE_CHECKING:
    from gateway.admin.routes.answers import ModelList, SeenModel, SeenReplica

VERSIONS = ("MODEL", "VERSION", "WEIGHT", "WEIGHT FROM", "DRAINED", "VERSION FROM", "ENGINE", "REPLICAS")
REPLICAS = ("REPLICA", "MODELS", "STATE", "SHARE", "IN FLIGHT", "TOKENS", "CALLS", "FAILURES")


def part(name: str) -> str:
    """Of a path. Raises Mistake."""
    try:
        return quote(name, safe="")
    except UnicodeEncodeError:
        raise Mistake(f"{name}: is no text in UTF-8.") from None


def whole(name: str) -> str:
    """The path of the version called `model@version`. Raises Mistake."""
    model, _, version = name.partition("@")
    if not model or not version:
        raise Mistake(f"{name}: takes a model and its version, as in chat@2.")
    if "/" in version:  # of what is done to one it could not be told
        raise Mistake(f"{name}: a version with a slash in its name can only be in the file.")
    return f"/v1/models/{part(model)}/versions/{part(version)}"


def versions(gateway: Remote) -> ModelList:
    """Of every model. Raises Trouble."""
    from gateway.admin.routes.answers import ModelList  # with a web framework, which no other command needs

    return asked(gateway, "/v1/models", ModelList)


def change(gateway: Remote, name: str, action: str, *, as_json: bool) -> None:
    """Drain or restore the version (`model@version`) or the replica of that name. Raises Trouble."""
    from gateway.admin.routes.answers import ModelList, ReplicaList, SeenReplica

    labels = {f"{seen.name}@{seen.version}" for seen in versions(gateway).data}
    replicas = {seen.name for seen in asked(gateway, "/v1/replicas", ReplicaList).data}
    if name in labels and name in replicas:
        raise Trouble(f"{name} is a version and a replica; docs/guides/admin.md says how to name one of them.")
    model, at, version = name.partition("@")
    if name in replicas:
        path = f"/v1/replicas/{part(name)}/{action}"
        print_replicas([asked(gateway, path, SeenReplica, "POST")], as_json=as_json)
    elif name in labels or (at and action == "restore"):  # of one that is gone, its drain would wait for its return
        path = f"/v1/models/{part(model)}/versions/{part(version)}/{action}"
        print_versions(asked(gateway, path, ModelList, "POST").data, as_json=as_json)
    else:
        raise Trouble(f"There is no version or replica {name}: snowshed models --versions, snowshed replicas.")


def print_versions(found: list[SeenModel], *, as_json: bool) -> None:
    if as_json:
        print_json(msgspec.to_builtins(found))
    else:
        print_table(VERSIONS, [_version(seen) for seen in found])


def print_replicas(found: list[SeenReplica], *, as_json: bool) -> None:
    if as_json:
        print_json(msgspec.to_builtins(found))
    else:
        print_table(REPLICAS, [_replica(seen) for seen in found])


def _version(seen: SeenModel) -> tuple[str, ...]:
    drained = "yes" if seen.drained else "no"
    weight = str(seen.weight).removesuffix(".0")
    replicas = _list(seen.replicas)
    return seen.name, seen.version, weight, seen.weight_from, drained, seen.set_by, seen.engine, replicas


def state_of(seen: SeenReplica) -> str:
    """In words for people."""
    state = seen.reason or ("ready" if seen.state == "closed" else seen.state)
    return f"{state.removesuffix('.')}; asked all the same" if seen.asked and not seen.ready else state


def _replica(seen: SeenReplica) -> tuple[str, ...]:
    failures = _list(f"{kind}: {count}" for kind, count in seen.failures.items() if count) or "-"
    share = f"{seen.weight:g}" if seen.asked else "0"
    numbers = share, str(seen.in_flight), str(seen.tokens), str(seen.calls)
    return seen.name, _list(seen.models), state_of(seen), *numbers, failures


def _list(names: Iterable[str]) -> str:
    return ", ".join(names)
