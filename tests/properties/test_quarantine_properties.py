"""Whatever dies and lives in whatever order, a prompt is refused as its own deaths since its last success say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.api import Call
from router.api import Quarantined
from router.quarantine import BOUND, DEATHS, INSTANT, REFUSED, REMEMBERED, Quarantine


@dataclass
class Step:
    """So many seconds later, a call of the prompt is asked about, dies on a replica, or is answered."""

    later: float
    prompt: int
    what: Literal["check", "died", "survived"]
    replica: str


lately = st.sampled_from([0.0, INSTANT, 2 * INSTANT, REFUSED / 2, REFUSED, REMEMBERED, 2 * REMEMBERED])
steps = st.lists(
    st.builds(
        Step, lately, st.integers(0, 2), st.sampled_from(["check", "died", "died", "survived"]), st.sampled_from("ab")
    ),
    max_size=60,
)


def call(prompt: int) -> Call:
    fields = {"messages": msgspec.Raw(msgspec.json.encode(f"prompt {prompt}"))}
    return Call("id", "chat", fields, "m", stream=False, show_usage=False, deadline=1e9)


def deaths(history: list[tuple[float, Step]], now: float) -> tuple[int, float]:
    """Of one prompt, as its history is told: how many count, and when the last one was."""
    count, last, where = 0, -1e9, ""
    for at, step in history:
        if at - last > REMEMBERED:
            count = 0
        if step.what == "survived":
            count, last, where = 0, -1e9, ""
        elif step.what == "died":
            count += step.replica != where or at - last > INSTANT or not count
            last, where = at, step.replica
    return (0 if now - last > REMEMBERED else count), last


@given(steps)
def test_refused_is_what_has_died_twice_and_not_lived_since(happening: list[Step]) -> None:
    now = [1000.0]
    quarantine = Quarantine(lambda: now[0], b"key")
    history: dict[int, list[tuple[float, Step]]] = {0: [], 1: [], 2: []}
    for step in happening:
        now[0] += step.later
        if step.what == "died":
            quarantine.died(call(step.prompt), step.replica)
        elif step.what == "survived":
            quarantine.survived(call(step.prompt))
        count, last = deaths(history[step.prompt], now[0])
        if step.what != "check":
            history[step.prompt].append((now[0], step))
        elif count >= DEATHS and last + REFUSED > now[0]:
            with pytest.raises(Quarantined) as refused:
                quarantine.check(call(step.prompt))
            assert refused.value.seconds == last + REFUSED - now[0]
        else:
            quarantine.check(call(step.prompt))


@given(st.integers(1, 40))
def test_beyond_its_bound_the_oldest_suspect_is_forgotten(more: int) -> None:
    quarantine = Quarantine(lambda: 0.0, b"key")
    for prompt in range(BOUND + more):
        for replica in "ab":
            quarantine.died(call(prompt), replica)
    assert repr(quarantine) == f"<Quarantine {BOUND} suspects>"
    for prompt in range(more):
        quarantine.check(call(prompt))
    with pytest.raises(Quarantined):
        quarantine.check(call(more))
