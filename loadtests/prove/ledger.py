"""The ledger of several gateways says what the model server counted."""

from __future__ import annotations

import asyncio
import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec
import uvloop

from loadtests.bench import bodies
from loadtests.bench.processes import free_ports, wait_until
from loadtests.bench.stand import Front, Stand, ask, stand
from loadtests.prove.evidence import Bar, Verdict
from loadtests.prove.keys import keyed, snowshed
from loadtests.prove.quiet import settle
from loadtests.prove.visitor import Visitor, arrive

REQUESTS = 100_000
BLOCK = 5_000
"""Requests until the model server is asked what it has counted: it remembers the last 10,000."""
CALLERS = 40
PACE_MS = 5
"""Between two tokens of the streams that are left."""
ON_THE_WAY = 100
"""Tokens that a model server may have made before it saw that nobody wanted them: half a second's."""
PATIENCE = 30.0
COUNTS = ("requests", "prompt_tokens", "completion_tokens", "cost")
LEDGER = "admin: {port: 0}\nledger: {prices: [{model: mock, input: '0.55', output: '1.65'}]}\n"


@dataclass(slots=True)
class Counted:
    """What the model server has seen of each request, by its id."""

    place: Stand
    calls: dict[str, dict[str, Any]] = field(default_factory=dict)
    last: int = 0

    def more(self) -> None:
        """Once nothing is under way."""
        settle(self.place)
        for call in self.place.control(f"/_calls?since={self.last}"):
            self.calls[call["request_id"]] = call
            self.last = call["number"]


@dataclass(slots=True)
class Compared:
    """With the ledger's rows."""

    wrong: int = 0
    beyond: int = 0
    on_the_way: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)

    def add(self, row: dict[str, str], call: dict[str, Any]) -> None:
        self.outcomes[row["outcome"]] += 1
        written = (int(row["prompt_tokens"]), int(row["completion_tokens"]))
        if row["outcome"] == "success":
            self.wrong += written != (call["prompt_tokens"], call["tokens"])
        elif call["tokens"]:
            missing = call["tokens"] - written[1]
            self.on_the_way = max(self.on_the_way, missing)
            self.beyond += not 0 <= missing <= ON_THE_WAY
        else:
            self.wrong += written != (0, 0)


def request(port: int, key: str, turn: int) -> tuple[bytes, int]:
    """A request, and the number of tokens after which its client leaves: 0 for all but one in a hundred."""
    leaves = 3 if turn % 100 == 0 else 0
    if leaves:
        directive = f"tokens=2000,delay_ms={PACE_MS}"
    elif turn % 50 == 1:
        directive = "fault=status,status=400"
    else:
        directive = f"tokens={turn % 60 + 1}"
    message = {"role": "user", "content": f"Count this. @@{directive}@@ {turn}"}
    body = {"model": "mock", "messages": [message], "stream": bool(leaves) or turn % 4 == 0}
    return bodies.http(port, msgspec.json.encode(body), f"authorization: Bearer {key}\r\n"), leaves


async def ask_all(ports: Sequence[int], key: str, turns: Iterator[int]) -> None:
    """Each caller goes from one gateway to the other."""

    async def call(number: int) -> None:
        visitors: dict[int, Visitor] = {}
        for turn in turns:
            port = ports[(turn + number) % len(ports)]
            if port not in visitors or not visitors[port].open:
                visitors[port] = await arrive(port)
            asked, leaves = request(port, key, turn)
            await visitors[port].visit(asked, leave_after=leaves)
        for visitor in visitors.values():
            visitor.transport.close()

    async with asyncio.TaskGroup() as group:
        for number in range(CALLERS):
            group.create_task(call(number))


def beside(front: Front) -> Front:
    """Another gateway with the same database."""
    ports = replace(front.ports, **dict(zip(("public", "ops"), free_ports(2), strict=True)))
    text = front.config.read_text()
    for ours in ("public", "ops"):
        text = text.replace(f"port: {getattr(front.ports, ours)}", f"port: {getattr(ports, ours)}")
    config = front.config.with_name("beside.yaml")
    config.write_text(text)
    return Front(ports, config, front.core, front.rest)


def written(fronts: Sequence[Front]) -> float:
    pages = [ask(front.ports.ops, "GET", "/metrics")[1] for front in fronts]
    return sum(float(re.findall(rb"^snowshed_ledger_written_total (\S+)$", page, re.MULTILINE)[0]) for page in pages)


def read(config: Path, *options: str) -> Iterator[dict[str, str]]:
    file = config.with_suffix(".csv")
    snowshed("usage", "--csv", str(file), *options, config=config)
    with file.open(newline="") as lines:
        yield from csv.DictReader(lines)


def added(lines: Iterator[dict[str, str]]) -> Counter[str]:
    """Costs in millionths."""
    totals: Counter[str] = Counter()
    for line in lines:
        totals.update({name: int(line.get(name, "1").replace(".", "")) for name in COUNTS})
    return totals


def prove() -> Verdict:
    """100,000 requests over two gateways of one database are in it, with the tokens that the model server counted."""
    with stand() as place:
        front, key = keyed(place)
        front.config.write_text(front.config.read_text() + LEDGER)
        fronts = [front, beside(front)]
        counted = Counted(front)
        with fronts[0].gateway(), fronts[1].gateway():
            ports = [each.ports.public for each in fronts]
            for first in range(0, REQUESTS, BLOCK):
                uvloop.run(ask_all(ports, key, iter(range(first, first + BLOCK))))
                counted.more()
            wait_until(lambda: written(fronts) == REQUESTS, PATIENCE, "the last row's writing", step=0.1)
        compared = Compared()
        for row in read(front.config, "--requests"):
            compared.add(row, counted.calls.pop(row["id"]))
        rows, sums = added(read(front.config, "--requests")), added(read(front.config, "--by", "day,key,version"))
        size = sum(file.stat().st_size for file in front.config.parent.glob("*.db*"))
    bars = [
        Bar("requests that the ledger has", compared.outcomes.total(), REQUESTS, exact=True),
        Bar("requests of the model server that it has not", len(counted.calls), 0, exact=True),
        Bar("completed or refused ones with other tokens than the model server's", compared.wrong, 0, exact=True),
        Bar("cancelled ones off by more than what was on its way", compared.beyond, 0, exact=True),
        Bar("sums that are not those of the rows", sum(rows[name] != sums[name] for name in COUNTS), 0, exact=True),
    ]
    figures = {"outcomes": dict(compared.outcomes), "most tokens on the way": compared.on_the_way, "bytes": size}
    return Verdict(bars, {**figures, "sums": dict(sums)})
