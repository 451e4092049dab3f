"""What `snowshed top` makes of two looks at a gateway, and of a screen that is too small for it."""

from __future__ import annotations

from gateway.admin.routes.answers import SeenReplica
from gateway.admin.routes.queue_answers import SeenClass, SeenQueue, SeenShare, Used
from gateway.admission_metrics import Limit
from gateway.cli.top import fitting
from gateway.cli.view import Look, blocks


def look(at: float, shed: int = 0, calls: int = 0, backlog: float | None = 0.25, waiting: int = 3) -> Look:
    quiet = SeenClass(0, 0, 0.0, {})
    queue = SeenQueue(
        "chat@1", ["chat"], Used(waiting, 2000), Used(10, 1000),
        {"critical": quiet, "standard": SeenClass(waiting, 700, backlog, {"too_long": shed}), "batch": quiet},
        [SeenShare("acme", "standard", waiting, 40), SeenShare("rests", "standard", 0, 90)],
        {},
    )  # fmt: skip
    limits: dict[Limit, Used] = {"requests": Used(6, 8), "prompt_tokens": Used(100, 1000), "kv_tokens": Used(900, 1000)}
    replica = SeenReplica(
        "chat-0", ["chat"], "chat@1", True, "", True, "slow_start", False, 0.5, 6, 900, limits, calls, {"failed": 2}
    )
    return Look(at, [queue], [replica])


def cells(now: Look, before: Look | None) -> list[list[str]]:
    """The first line of each table below its heads."""
    return [block[1].split() for block in blocks(now, before)]


def test_a_first_look_has_no_rates() -> None:
    version, replica, tenant = cells(look(0.0, shed=4, calls=10), None)
    assert version == ["chat@1", "0", "3", "0", "2000", "700", "0.2", "s", "4"]
    assert replica == ["chat-0", "slow_start", "0.5", "6/8", "75%", "100/1000", "10%", "900/1000", "90%", "10", "2"]
    assert tenant == ["acme", "chat@1", "standard", "3", "40"]


def test_rates_are_what_has_come_since_the_look_before() -> None:
    version, replica, _ = cells(look(12.0, shed=9, calls=15), look(10.0, shed=4, calls=10))
    assert version[-2:] == ["9", "2.5"]
    assert replica[-3:] == ["15", "2.5", "2"]


def test_a_gateway_that_started_anew_has_no_rate_below_nought() -> None:
    version, replica, _ = cells(look(11.0, shed=0, calls=1), look(10.0, shed=4, calls=10))
    assert (version[-1], replica[-2]) == ("0.0", "0.0")


def test_what_is_not_known_is_no_number_and_who_does_not_wait_is_not_told() -> None:
    assert "?" in cells(look(0.0, backlog=None), None)[0]
    assert len(cells(look(0.0, waiting=0), None)) == 2


def test_a_small_screen_gets_the_first_lines_and_is_told_of_the_rest() -> None:
    lines = [f"line {number}" for number in range(10)]
    assert fitting(lines, 80, 10) == lines
    assert fitting(lines, 80, 4) == ["line 0", "line 1", "line 2", "and 7 more lines"]
    assert fitting(lines, 4, 20) == ["line"] * 10
