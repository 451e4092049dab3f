"""What must be true of models and routes together, every mistake with its place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from engines.choices import meant
from gateway.config.models import ModelSpec
from gateway.config.routing import RoutingSpec

Path = tuple[str | int, ...]
Mistake = tuple[Path, str]
"""Its path from the top, and what is wrong; without values, which may be misplaced secrets."""
Groups = Mapping[str, Sequence[tuple[int, ModelSpec]]]
"""The versions of each model, each with its place in the list."""


def mistakes(
    models: Sequence[ModelSpec], routing: Sequence[RoutingSpec], called: Callable[[int], str] = "models[{}]".format
) -> Iterator[Mistake]:
    """`called`: what people call the entry at a place in the list of models."""
    groups: dict[str, list[tuple[int, ModelSpec]]] = {}
    for at, spec in enumerate(models):
        groups.setdefault(spec.name, []).append((at, spec))
    for group in groups.values():
        yield from _versions(group, called)
    yield from _names(groups, routing, called)
    for at, spec in enumerate(models):
        yield from _replicas(at, spec)
    for at, route in enumerate(routing):
        yield from _route(at, route, routing[:at], groups)
    yield from _circles(routing)


def _versions(group: Sequence[tuple[int, ModelSpec]], called: Callable[[int], str]) -> Iterator[Mistake]:
    first, one = group[0]
    seen: set[str] = set()
    for at, spec in group:
        if spec.version in seen:
            yield ("models", at, "version"), "this model has a version of that name already"
        if set(spec.adapters) != set(one.adapters):
            yield ("models", at), f"versions of a model must list the same adapters, as {called(first)} does"
        seen.add(spec.version)
    if not any(spec.weight for _, spec in group):
        yield ("models", first, "weight"), "the weights of a model's versions must not sum to 0"


def _names(groups: Groups, routing: Sequence[RoutingSpec], called: Callable[[int], str]) -> Iterator[Mistake]:
    """With its adapters a model or an alias is several names; each must mean one thing."""
    named: list[tuple[Path, Sequence[str], str]] = [
        *((("models", group[0][0], "name"), group[0][1].names, called(group[0][0])) for group in groups.values()),
        *(
            (("routing", at, "aliases", nth), _as_alias(alias, groups.get(route.model)), f"routing[{at}]")
            for at, route in enumerate(routing)
            for nth, alias in enumerate(route.aliases)
        ),
    ]
    owners: dict[str, str] = {}
    for path, names, owner in named:
        taken = next((owners[name] for name in names if name in owners), None)
        if taken:
            yield path, f"that name, or it with an adapter, is taken by {taken}"
        owners.update(dict.fromkeys(names, owner))


def _as_alias(alias: str, group: Sequence[tuple[int, ModelSpec]] | None) -> Sequence[str]:
    adapters = group[0][1].adapters if group else ()
    return (alias, *(f"{alias}:{adapter}" for adapter in adapters))


def _replicas(at: int, spec: ModelSpec) -> Iterator[Mistake]:
    """The same server twice would get twice the work and be taken for two that agree."""
    before: dict[str, int] = {}  # by what they say: to compare each with each takes a square of time
    for nth, options in enumerate(spec.replicas):
        if "url" in type(options).model_fields and (first := before.setdefault(options.model_dump_json(), nth)) < nth:
            yield ("models", at, "replicas", nth), f"is replicas[{first}] once more"


def _route(at: int, route: RoutingSpec, before: Sequence[RoutingSpec], groups: Groups) -> Iterator[Mistake]:
    for nth, other in enumerate(before):
        if other.model == route.model:
            yield ("routing", at, "model"), f"routing[{nth}] is about that model already"
    group = groups.get(route.model)
    if group is None:
        yield ("routing", at, "model"), f"there is no such model{meant(route.model, groups)}"
    else:
        versions = [spec.version for _, spec in group]
        for inside, version in _named_versions(route):
            if version not in versions:
                yield ("routing", at, *inside), f"the model has no such version{meant(version, versions)}"
    for nth, name in enumerate(route.fallback.models if route.fallback else ()):
        path: Path = ("routing", at, "fallback", "models", nth)
        if name == route.model:
            yield path, "a model can't fall back to itself"
        elif name not in groups:
            yield path, f"there is no such model{meant(name, groups)}"


def _named_versions(route: RoutingSpec) -> Iterator[tuple[Path, str]]:
    for nth, rule in enumerate(route.rules):
        yield ("rules", nth, "version"), rule.version
    if route.shadow:
        yield ("shadow", "version"), route.shadow.version


def _circles(routing: Sequence[RoutingSpec]) -> Iterator[Mistake]:
    """Each is told once, at the entry that closes it."""
    targets: dict[str, Sequence[str]] = {}
    for at, route in enumerate(routing):
        for nth, name in enumerate(route.fallback.models if route.fallback else ()):
            if name != route.model and route.model in _reached(name, targets):
                yield ("routing", at, "fallback", "models", nth), "that model falls back to this one: a circle"
        targets[route.model] = route.fallback.models if route.fallback else ()


def _reached(name: str, targets: Mapping[str, Iterable[str]]) -> set[str]:
    """The models that one falls back to, directly or by others."""
    reached: set[str] = set()
    left = [name]
    while left:
        for target in targets.get(left.pop(), ()):
            if target not in reached:
                reached.add(target)
                left.append(target)
    return reached
