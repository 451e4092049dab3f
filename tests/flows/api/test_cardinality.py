"""P44: nothing that a caller chooses becomes a label, so callers can't make the metrics grow."""

from __future__ import annotations

import re
from typing import Any

from tests.support import plain
from tests.support.api import Api
from tests.support.asking import body

CALLERS = 300


def series(stand: Api) -> set[str]:
    """Names and labels of all samples."""
    text = plain.get(f"{stand.gateway.ops_url}/metrics").text
    return {line.rpartition(" ")[0] for line in text.splitlines() if not line.startswith("#")}


def counted(stand: Api) -> int:
    text = plain.get(f"{stand.gateway.ops_url}/metrics").text
    return sum(int(float(found)) for found in re.findall(r"^snowshed_requests_total{.*} (\S+)$", text, re.MULTILINE))


def visit(stand: Api, number: int) -> int:
    """All kinds of requests with everything that is the caller's own, and how many they were."""
    mark = f"caller{number}x{number * 7919}"
    headers = {
        "authorization": f"Bearer {mark}", "x-client-request-id": mark, "x-request-id": mark, "user-agent": mark,
        "openai-organization": mark, mark: mark, "cookie": mark,
    }  # fmt: skip
    named: dict[str, Any] = {"user": mark, "metadata": {mark: mark}, mark: mark}
    for wanted in (
        body(**named), body(model=mark, **named), body(temperature=number + 3), body(stop=[number]),
        body("fault=status,status=400", **named), body("fault=status,status=500", **named),
    ):  # fmt: skip
        stand.http.post("/v1/chat/completions", json=wanted, headers=headers, params={mark: mark})
    stand.http.post("/v1/embeddings", json={"model": mark, "input": mark}, headers=headers)
    stand.http.post(f"/v1/{mark}", json=named, headers=headers)
    stand.http.get(f"/v1/models/{mark}", headers=headers)
    return 7  # those that are requests to a model


def test_p44_three_hundred_callers_add_no_series(stand: Api) -> None:
    """P44: model names, keys, users, labels, headers, paths and queries of 300 callers; the series stay the same."""
    already = counted(stand)
    done = visit(stand, 0)
    stand.gateway.wait_until(lambda: counted(stand) == already + done)
    before = series(stand)
    assert any('code="model_not_found"' in one for one in before)
    for number in range(1, CALLERS):
        done += visit(stand, number)
    stand.gateway.wait_until(lambda: counted(stand) == already + done)
    after = series(stand)
    assert after - before == set()
    assert not [one for one in after if "caller" in one]
