"""Tenants that want more than there is: what each gets of it, by weight, beside long prompts, and by class."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

import msgspec

from loadtests.overload.load import LAG_MS, Load, Target, load
from loadtests.overload.plan import Phase, Source
from loadtests.overload.stand import SHORT, Terms, admitting
from loadtests.overload.tally import Tally
from loadtests.overload.upstream import CAPACITY, SERVICE_MS, SLOTS
from loadtests.prove.evidence import Bar, Verdict
from loadtests.prove.keys import snowshed

WARM_UP, SECONDS = 3.0, 10.0
WEIGHTS = {"hog": 1, "light": 1, "middle": 2, "heavy": 4}
WORDS = {"hog": 100, "light": 100, "middle": 300, "heavy": 200}
"""Of their prompts."""
HOG, GREED = 10.0, 4.0
"""What the hog asks for, as a multiple of all there is; the others of their shares, so as never to be idle."""
ANSWER, PRICE = 16, 2
"""Tokens of any answer; each counts for so many of a prompt."""
PRIORITIES = {"urgent": 50, "bulk": -50}
TENANTS = {
    **{name: ("--weight", str(weight)) for name, weight in WEIGHTS.items()},
    **{name: ("--priority", str(priority)) for name, priority in PRIORITIES.items()},
    "long": (),
    "short": (),
}
LONG, LONG_MS, LONG_AT_A_TIME = 8192, 400, 4
SHORT_RATE, RARE_RATE = 20.0, 0.25
"""Requests a second, of short ones beside many long ones, and of long ones beside many short ones."""
TERMS = Terms(SHORT.start_within, {"requests": SLOTS, "prompt_tokens": LONG_AT_A_TIME * LONG * 9 // 8})
Findings = tuple[list[Bar], dict[str, Load]]


def prompt(words: int, service_ms: int = SERVICE_MS) -> str:
    """A chat of so many tokens, which the upstream answers after so many milliseconds."""
    content = f"@@service_ms={service_ms}@@" + " sno" * (words - 1)
    messages = [{"role": "user", "content": content}]
    return msgspec.json.encode({"model": "mock", "messages": messages, "max_tokens": ANSWER}).decode()


@dataclass(frozen=True)
class Tenants:
    """A gateway that asks for keys, and the header line of each tenant."""

    target: Target
    credentials: Mapping[str, str]

    def source(self, name: str, rate: float, body: str) -> Source:
        return Source(name, [Phase(WARM_UP + SECONDS, rate)], body, self.credentials[name])

    def load(self, *sources: Source) -> Load:
        return load(self.target, sources)


@contextmanager
def tenants() -> Iterator[Tenants]:
    with admitting(TERMS) as place:
        config = place.config.with_name("tenants.yaml")
        config.write_text(f"{place.config.read_text()}auth: {{kind: keys, sqlite: {config.with_suffix('.db')}}}\n")
        credentials = {}
        for name, options in TENANTS.items():
            snowshed("tenants", "create", name, *options, config=config)
            credentials[name] = f"authorization: Bearer {snowshed('keys', 'create', name, config=config)}\r\n"
        with replace(place, config=config).gateway() as (gateway, _):
            yield Tenants(Target(place, gateway, place.ports.public), credentials)


def counted(one: Load, source: int) -> Tally:
    return one.tally(WARM_UP, WARM_UP + SECONDS, source)


def by_weight(them: Tenants) -> Findings:
    """All want more, one of them far more: what each gets in tokens, as a multiple of what its weight gives it."""
    cost = {name: words + PRICE * ANSWER for name, words in WORDS.items()}
    fair = {name: weight / cost[name] for name, weight in WEIGHTS.items()}  # requests; only the proportion counts
    demand = {name: GREED * CAPACITY * part / sum(fair.values()) for name, part in fair.items()}
    demand["hog"] = HOG * CAPACITY
    one = them.load(*(them.source(name, demand[name], prompt(WORDS[name])) for name in WEIGHTS))
    tokens = {name: cost[name] * counted(one, at).served for at, name in enumerate(WEIGHTS)}
    unit = sum(tokens.values()) / sum(WEIGHTS.values())
    shares = {name: tokens[name] / (WEIGHTS[name] * unit) for name in WEIGHTS}
    jain = sum(shares.values()) ** 2 / (len(shares) * sum(share**2 for share in shares.values()))
    bars = [
        Bar(f"tokens that {name} of weight {WEIGHTS[name]} lacks of its share, of 1", 1 - share, 0.15)
        for name, share in shares.items()
        if name != "hog"
    ]
    bars += [
        Bar("distance of a share from its weight's, of 1, at most", max(abs(1 - x) for x in shares.values()), 0.05),
        Bar("Jain's index of shares by weight, below 1", 1 - jain, 0.05),
    ]
    return bars, {"by weight": one}


def beside_long(them: Tenants) -> Findings:
    """P42: short prompts of one tenant beside far too many long ones of another; and the other way round."""
    possible = LONG_AT_A_TIME / LONG_MS * 1e3
    short, long = prompt(40), prompt(LONG, LONG_MS)
    alone = them.load(them.source("short", SHORT_RATE, short))
    beside = them.load(them.source("short", SHORT_RATE, short), them.source("long", 4 * possible, long))
    rare = them.load(them.source("short", 3 * CAPACITY, short), them.source("long", RARE_RATE, long))
    few = rare.tally(0, WARM_UP + SECONDS, 1)
    bars = [
        Bar(
            "short prompts beside long ones, p95, x alone",
            counted(beside, 0).ok_ms.p95 / counted(alone, 0).ok_ms.p95,
            2,
        ),
        Bar(
            "short prompts beside long ones that have no answer, of 1",
            1 - counted(beside, 0).share("good"),
            0,
            exact=True,
        ),
        Bar(
            "answers that long prompts lack of those possible, of 1",
            1 - counted(beside, 1).served / SECONDS / possible,
            0.1,
        ),
        Bar("long prompts beside too many short ones that have no answer", few.unserved, 0, exact=True),
    ]
    return bars, {"short prompts alone": alone, "beside long ones": beside, "long ones beside too many": rare}


def by_class(them: Tenants) -> Findings:
    """Critical requests within what the upstream can do, while batch work asks for five times of it."""
    body = prompt(100)
    one = them.load(them.source("urgent", 0.4 * CAPACITY, body), them.source("bulk", 5 * CAPACITY, body))
    whole = one.tally(WARM_UP, WARM_UP + SECONDS).goodput
    bars = [
        Bar("critical requests that have no answer within 1 s, of 1", 1 - counted(one, 0).share("good"), 0.01),
        Bar("capacity that is no goodput, with what batch work has to leave free, of 1", 1 - whole / CAPACITY, 0.15),
    ]
    return bars, {"by class": one}


def prove() -> Verdict:
    """A hog takes nothing from others' shares, long prompts nothing from short ones, batch work nothing from anyone."""
    bars: list[Bar] = []
    loads: dict[str, Load] = {}
    with tenants() as them:
        for find in (by_weight, by_class, beside_long):
            held, found = find(them)
            bars += held
            loads |= found
    figures = {}
    for name, one in loads.items():
        sources = sorted({attempt.source for attempt in one.attempts})
        figures[name] = one.figures() | {"by_source": [msgspec.to_builtins(counted(one, each)) for each in sources]}
    bars.append(Bar("lag of the generator, p99 ms, at worst", max(one.lag_ms for one in loads.values()), LAG_MS))
    return Verdict(bars, figures)
