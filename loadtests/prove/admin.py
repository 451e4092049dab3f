"""The admin listener is asked at random, by the book and against it."""

from __future__ import annotations

import http.client
import random
from dataclasses import replace
from pathlib import Path

from loadtests.bench.processes import free_ports, listening, wait_until
from loadtests.bench.stand import stand
from loadtests.prove.evidence import Bar, Verdict
from loadtests.prove.fuzzing import fuzz
from loadtests.prove.keys import keyed, snowshed

CASES = 20_000
EXAMPLES = 2_000
"""Most random requests of each kind; several kinds differ in less than that."""


def admitting(config: Path, port: int) -> Path:
    """The same configuration, whose admin listener does not mind how often one asks."""
    wider = config.with_name("admin.yaml")
    wider.write_text(f"{config.read_text()}admin: {{port: {port}, rate: 1000000}}\n")
    return wider


def asked_once(port: int, key: str) -> str:
    """The id of one request for a model."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    body = '{"model": "mock", "messages": [{"role": "user", "content": "hello"}]}'
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    try:
        connection.request("POST", "/v1/chat/completions", body, headers)
        return connection.getresponse().headers["x-request-id"]
    finally:
        connection.close()


def prove() -> Verdict:
    """20,000 requests made from its own documentation get the admin listener to no 500, and to nothing undocumented."""
    (port,) = free_ports(1)
    seed = random.randrange(1 << 32)
    with stand() as place:
        asking, key = keyed(place)
        config = admitting(asking.config, port)

        def mint() -> str:
            return snowshed("keys", "create", "acme", "--scope", "admin", config=config)

        with replace(asking, config=config).gateway():
            mint()  # without one the listener stays shut
            wait_until(lambda: listening(port), 20, "the admin listener's opening")
            found = fuzz(port, mint, asked_once(asking.ports.public, key), EXAMPLES, seed)
    answered = sum(count for what, count in found.answers.items() if not what.endswith(" 401"))
    bars = [
        Bar("requests with a good key fewer than 20,000", max(0, CASES - answered), 0, exact=True),
        Bar("answers with a status of 500 or above", found.failed, 0, exact=True),
        Bar("kinds of answers that the documentation does not have", len(found.wrong), 0, exact=True),
        Bar("operations that never succeeded", len(found.in_vain), 0, exact=True),
        Bar("kinds of requests that could not be made", len(found.errors), 0, exact=True),
    ]
    figures = {
        "seed": seed, "requests": answered, "answers": dict(sorted(found.answers.items())),
        "wrong": found.wrong, "errors": found.errors,
        "said": found.said if found.wrong or found.errors else "",
    }  # fmt: skip
    return Verdict(bars, figures)
