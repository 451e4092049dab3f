"""Callers, or prompts, that belong together come to one replica, where something of them may lie already."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
import pytest

from tests.support.gateway import configuration, running_gateway

TURNS = 20


@contextmanager
def asking(policy: str, **routing: object) -> Iterator[httpx2.Client]:
    """A client of one version over five replicas that are told apart by their answers."""
    replicas = [{"text": f"by {number}"} for number in range(5)]
    model = {"name": "chat", "engine": "scripted", "policy": policy, "replicas": replicas}
    tree = configuration(models=[model], routing=[{"model": "chat", **routing}] if routing else [])
    with running_gateway(tree) as gateway, httpx2.Client(base_url=gateway.url) as client:
        yield client


def answers(client: httpx2.Client, text: str = "Hi", user: str | None = None, session: str = "") -> set[str]:
    """Who answered the same request, asked again and again."""
    body = {"model": "chat", "user": user, "messages": [{"role": "user", "content": text}]}
    headers = {"x-session-id": session} if session else {}
    told = [client.post("/v1/chat/completions", json=body, headers=headers).json() for _ in range(TURNS)]
    return {answer["choices"][0]["message"]["content"] for answer in told}


@pytest.mark.parametrize("said", ["user", "session"])
def test_a_caller_stays_with_a_replica_and_callers_spread(said: str) -> None:
    with asking("session_affinity") as client:
        each = [answers(client, **{said: f"caller-{number}"}) for number in range(8)]
    assert all(len(replicas) == 1 for replicas in each)
    assert len(set.union(*each)) > 1


def test_a_prompt_comes_to_where_its_beginning_lies() -> None:
    book = "Once upon a time there was a gateway. " * 200
    with asking("prefix_affinity") as client:
        assert len(answers(client, book)) == 1
        assert answers(client, f"{book} And then?") == answers(client, book)


def test_where_neither_counts_everyone_comes_everywhere() -> None:
    with asking("least_loaded") as client:
        assert len(answers(client, user="caller-1")) > 1
