"""The client leaves, at whatever moment: the model in Triton stops soon, nothing stays held, tokens are counted.

60 leave here; as many as the environment's TRITON_LEAVINGS says, where a proof wants to see more.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections.abc import Iterator

import pytest

from loadtests.triton import TritonServer
from tests.support.triton_leaving import DELAY, LONG, leave, p95, settled
from tests.support.triton_stand import TRANSPORTS, Journal, TritonStand, behind, triton_stand

LEAVINGS = int(os.environ.get("TRITON_LEAVINGS", "60"))
BAR = 0.02 + 0.1
"""Seconds at p95: how often the models look whether they are still wanted, and what is promised on top of that."""
SLACK = 10
IN_FLIGHT = 10
"""Tokens on their way within Triton, where an ensemble's postprocessing is behind on a busy machine."""
KINDS = [
    ("llmapi", "llmapi", "cancelled"),
    ("ensemble", "tensorrt_llm", "stopped"),
    ("generic", "generic", "cancelled"),
]


@pytest.mark.parametrize(("model", "generates", "outcome"), KINDS, ids=[kind[0] for kind in KINDS])
async def test_leaving_at_any_moment_ends_the_generation(
    stand: TritonStand, journal: Journal, model: str, generates: str, outcome: str
) -> None:
    """On llmapi and generic models by gRPC's cancellation; inside an ensemble by `stop` under the same id."""
    count = -(-LEAVINGS // len(KINDS) // len(TRANSPORTS))
    leavings = await leave(stand, model, count, random.Random(41))
    await settled(stand, journal, leavings, generates)
    assert all(len(one.begun) == len(one.ended) <= 1 for one in leavings)
    outcomes = {one.outcome for leaving in leavings for one in leaving.ended}
    assert outcome in outcomes
    assert outcomes <= {outcome, "cancelled"}  # what an ensemble has not begun is cancelled there, too
    latencies = [seconds for leaving in leavings for seconds in leaving.latencies]
    assert len(latencies) > count / 3
    print(f"{model}: {len(latencies)} of {count} seen, p95 {p95(latencies) * 1000:.0f} ms")
    assert p95(latencies) < SLACK * BAR
    for leaving in leavings:
        assert leaving.record["code"] == "client_gone"
        assert 0 <= leaving.uncounted <= IN_FLIGHT + leaving.unseen / DELAY


@pytest.mark.parametrize("model", [kind[0] for kind in KINDS])
def test_leaving_at_the_sight_of_done_is_an_answer_that_was_had(stand: TritonStand, model: str) -> None:
    """As OpenAI's SDKs do, while the call to the server has still to end."""
    labels = [stand.label() for _ in range(20)]
    for label in labels:
        with stand.gateway.connect() as client:
            asked = {"model": model, "prompt": "@@tokens=3@@", "max_tokens": 9, "stream": True}
            client.sendall(completion_bytes(asked, label))
            got = b""
            while b"data: [DONE]" not in got:
                got += client.recv(4096)
    found = [stand.record(label) for label in labels]
    assert {(one["outcome"], one["code"], one["client_gone"]) for one in found} == {("success", "", False)}


def completion_bytes(asked: dict[str, object], label: str) -> bytes:
    body = json.dumps(asked).encode()
    lines = (
        "POST /v1/completions HTTP/1.1", "host: 127.0.0.1", "content-type: application/json",
        f"x-client-request-id: {label}", f"content-length: {len(body)}",
    )  # fmt: skip
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@pytest.fixture(scope="module")
def careful(triton: TritonServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonStand]:
    """Of models that stand no cancellations, or not many."""
    triton.need("llmapi")
    target = {"url": triton.grpc, "model": "llmapi", "transport": TRANSPORTS[-1]}
    drained = target | {"cancel": {"policy": "drain-then-discard"}}
    paced = target | {"cancel": {"rate": RATE}}
    with triton_stand(
        tmp_path_factory.mktemp("careful"),
        lambda tokenizer: [behind("drained", tokenizer, drained), behind("paced", tokenizer, paced)],
    ) as stand:
        yield stand


RATE = 20


async def test_p24_a_drained_answer_is_generated_to_its_end(careful: TritonStand, journal: Journal) -> None:
    """P24: nobody waits for it, and the server sees no cancellation."""
    prompt = "@@tokens=200,delay_ms=5@@"
    with careful.sdk().completions.create(model="drained", prompt=prompt, max_tokens=500, stream=True) as stream:
        next(iter(stream))
    careful.gateway.wait_idle()
    await journal.until(lambda _: bool(journal.ends()))
    assert [(one.outcome, one.tokens) for one in journal.ends()] == [("finished", 200)]
    careful.wait_idle()


async def test_p24_cancellations_keep_to_the_rate(careful: TritonStand, journal: Journal) -> None:
    """P24: a burst is spread; those that wait end all the same."""
    leavings = await leave(careful, "paced", 30, random.Random(24), at_once=30)
    await settled(careful, journal, leavings, "llmapi")
    ended = sorted(one.at for leaving in leavings for one in leaving.ended)
    assert len(ended) > 10
    assert {one.outcome for leaving in leavings for one in leaving.ended} == {"cancelled"}
    for first in ended:
        assert sum(first <= one < first + 1 for one in ended) <= 1.5 * RATE  # what a late sweep catches up with
    assert all(one.tokens < LONG for leaving in leavings for one in leaving.ended)


async def test_leaving_a_unary_request(stand: TritonStand, journal: Journal) -> None:
    """Nothing has been written yet, so only the connection's end tells."""
    with stand.gateway.connect() as client:
        body = b'{"model":"llmapi","prompt":"@@tokens=2000,delay_ms=5@@","max_tokens":2000}'
        client.sendall(
            b"POST /v1/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
            b"content-length: %d\r\n\r\n%b" % (len(body), body)
        )
        await journal.until(bool)
    async with asyncio.timeout(SLACK):
        await journal.until(lambda _: bool(journal.ends()))
    assert [one.outcome for one in journal.ends()] == ["cancelled"]


@pytest.mark.parametrize("model", ["llmapi", "ensemble"])
async def test_leaving_several_texts_of_one_request(stand: TritonStand, journal: Journal, model: str) -> None:
    prompt = "@@tokens=2000,delay_ms=5@@"
    with stand.sdk().completions.create(model=model, prompt=prompt, n=3, max_tokens=2000, stream=True) as stream:
        next(iter(stream))
        await journal.until(lambda _: len(journal.asked()) == 3)  # what has not begun has no end
    await journal.until(lambda _: len(journal.ends()) == 3)
    assert {one.outcome for one in journal.ends()} <= {"cancelled", "stopped"}
