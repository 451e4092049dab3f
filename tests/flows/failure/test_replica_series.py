"""What an operator sees of one replica: which of them fails, how, and that callers were spared or not."""

from __future__ import annotations

import pytest

from tests.support import plain
from tests.support.asking import ask, body
from tests.support.gateway import metric
from tests.support.stand import Stand

ROUNDS = 6


def shown(stand: Stand, name: str, **labels: str) -> float:
    return metric(plain.get(f"{stand.gateway.ops_url}/metrics").text, f"snowshed_{name}", **labels)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"fault": "status", "status": 500}, "failed"),
        ({"fault": "status", "status": 429}, "overloaded"),
        ({"fault": "reset"}, "unreachable"),
        ({"fault": "accept_silent"}, "timed_out"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_the_replica_that_fails_is_named_while_callers_notice_nothing(
    clean: Stand, fault: dict[str, object], reason: str
) -> None:
    failures = {"replica": "mock-1", "reason": reason}
    before = shown(clean, "replica_failures_total", **failures)
    others, over = shown(clean, "replica_failures_total", replica="mock-0"), shown(clean, "failovers_total")
    clean.fleet.replicas[1].set(**fault)
    answers = [ask(clean.client, body()) for _ in range(ROUNDS)]
    assert [answer.status for answer in answers] == [200] * ROUNDS
    failed = shown(clean, "replica_failures_total", **failures) - before
    assert 1 <= failed <= ROUNDS / 2, "the less it is good for, the less begins there"
    assert shown(clean, "replica_failures_total", replica="mock-0") == others
    clean.gateway.wait_until(lambda: shown(clean, "failovers_total") - over == failed)
    assert shown(clean, "replica_in_flight") == 0


def test_a_broken_answer_and_a_caller_s_mistake_are_told_apart(clean: Stand) -> None:
    calls, failures = (shown(clean, f"replica_{what}_total", replica="lone-0") for what in ("calls", "failures"))
    ask(clean.client, body("fault=reset_after,after=5", model="lone", stream=True))
    ask(clean.client, body("fault=status,status=400", model="lone"))
    assert shown(clean, "replica_calls_total", replica="lone-0") - calls == 2
    assert shown(clean, "replica_failures_total", replica="lone-0") - failures == 1
    assert shown(clean, "replica_failures_total", replica="lone-0", reason="interrupted") == 1
