"""The thin path: a request through the whole gateway, by either adapter."""

from __future__ import annotations

import openai
import pytest

from tests.support import plain
from tests.support.fleet import spawn_fleet
from tests.support.gateway import Adapter, RunningGateway, configuration, metric, running_gateway

ASKED = {"model": "mock", "messages": [{"role": "user", "content": "Say something."}]}


@pytest.mark.parametrize("adapter", ["front_door", "asgi"])
def test_a_unary_and_a_streamed_answer_arrive_whole(adapter: Adapter) -> None:
    with spawn_fleet(settings="tokens=12") as fleet, running_gateway(configuration(fleet.urls), adapter) as gateway:
        client = openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="none", max_retries=0)
        whole = client.chat.completions.create(model="mock", messages=[{"role": "user", "content": "Hello"}])
        stream = client.chat.completions.create(
            model="mock", messages=[{"role": "user", "content": "Hello"}], stream=True
        )
        text = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
        assert whole.choices[0].message.content == text != ""
        assert whole.usage is not None
        assert whole.usage.completion_tokens == 12
        gateway.wait_idle()


def test_what_happened_is_counted() -> None:
    with running_gateway(configuration()) as gateway, gateway.client() as client:
        assert client.post("/v1/chat/completions", json=ASKED).status_code == 200
        assert client.post("/v1/chat/completions", json={**ASKED, "model": "absent"}).status_code == 404
        gateway.wait_until(lambda: metric(scrape(gateway), "snowshed_requests_total") == 2)
        assert metric(scrape(gateway), "snowshed_requests_total", code="model_not_found") == 1


def scrape(gateway: RunningGateway) -> str:
    return plain.get(f"{gateway.ops_url}/metrics").text
