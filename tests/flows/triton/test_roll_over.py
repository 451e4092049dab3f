"""A model's next version takes over on Triton servers by the guide's own commands, while callers go on streaming."""

from __future__ import annotations

import asyncio
import itertools
import re
import subprocess
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
import yaml

from loadtests.bench.processes import free_ports
from loadtests.fleet.answers import words
from loadtests.triton import TritonServer
from tests.support import plain
from tests.support.command_line import environment, placed
from tests.support.gateway import ROOT, SpawnedGateway, configuration, spawned_gateway
from tests.support.tiny_tokenizer import write_tiny_tokenizer
from tests.support.triton import begun, running_triton
from tests.support.waiting import PATIENCE, until, wait_until

SECTION = (ROOT / "docs/guides/routing.md").read_text().partition("## Roll over to another version on Triton")[2]
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", SECTION, re.MULTILINE | re.DOTALL)
OLD, NEW = "llmapi", "llmapi_next"
RATE, USERS = 20, 40
SHORT, LONG = 12, 60
"""Tokens of an answer, 100 ms apart in a long one."""
PINNED = 8


@dataclass
class Place:
    """Two servers, a gateway over both, and who runs it, with the guide in hand."""

    servers: list[TritonServer]
    gateway: SpawnedGateway
    folder: Path
    model: dict[str, Any]
    admin: str
    key: str = ""
    admin_key: str = ""

    def configured(self, *versions: dict[str, Any]) -> None:
        """Write the file anew, with these versions of the model."""
        models = [{**self.model, **version} for version in versions]
        written = yaml.safe_load((self.folder / "gateway.yaml").read_text())
        (self.folder / "gateway.yaml").write_text(yaml.safe_dump({**written, "models": models}))

    def shell(self, block: str) -> str:
        """What the block prints."""
        done = self.run(block)
        assert done.returncode == 0, (block, done.stdout, done.stderr)
        return done.stdout

    def run(self, block: str, new: str = NEW) -> subprocess.CompletedProcess[str]:
        """The block with this place's names in it, up to the first command that fails."""
        theirs = {
            **{f"http://triton-{n}.internal:8000": server.http for n, server in enumerate(self.servers, 1)},
            "http://127.0.0.1:8081": self.gateway.ops_url, "http://127.0.0.1:8080": self.gateway.url,
            "chat_v1": OLD, "chat_v2": new, "PAUSE=300": "PAUSE=1",
        }  # fmt: skip
        lines = re.sub("|".join(map(re.escape, theirs)), lambda found: theirs[found[0]], BLOCKS[0] + block)
        variables = environment(
            SNOWSHED_ADMIN_URL=self.admin, SNOWSHED_ADMIN_KEY=self.admin_key, SNOWSHED_API_KEY=self.key
        )
        variables["PATH"] = f"{self.folder / 'bin'}:{variables['PATH']}"
        return subprocess.run(
            ["bash", "-e", "-o", "pipefail"], input=lines, env=variables, capture_output=True, text=True, timeout=120,
            check=False,
        )  # fmt: skip


@pytest.fixture(scope="module")
def servers() -> Iterator[list[TritonServer]]:
    with running_triton(OLD) as one, running_triton(OLD) as other:
        yield [one, other]


@pytest.fixture
def place(servers: list[TritonServer], tmp_path: Path) -> Iterator[Place]:
    placed(tmp_path)
    assert [_loaded(server, OLD) for server in servers] == [200, 200]
    tokenizer = str(write_tiny_tokenizer(tmp_path / "tokenizer"))
    model = {"name": "chat", "engine": "triton", "replicas": [{"url": s.grpc, "tokenizer": tokenizer} for s in servers]}
    (port,) = free_ports(1)
    tree = configuration(
        models=[{**model, "upstream": OLD}],
        routing=[{"model": "chat", "sticky": "user"}],
        auth={"kind": "keys", "sqlite": str(tmp_path / "keys.db")},
        admin={"port": port},
    )
    with spawned_gateway(tree, tmp_path) as gateway:
        made = Place(servers, gateway, tmp_path, model, f"http://127.0.0.1:{port}")
        made.admin_key, made.key = made.shell(
            f"cd {tmp_path}\nsnowshed tenants create acme --config gateway.yaml >&2\n"
            "snowshed keys create acme --scope admin --config gateway.yaml\n"
            "snowshed keys create acme --scope inference --scope routing --config gateway.yaml\n"
        ).split()
        wait_until(lambda: _opened(made.admin))
        yield made


def _loaded(server: TritonServer, model: str) -> int:
    return plain.post(f"{server.http}/v2/repository/models/{model}/load").status_code


def _opened(url: str) -> bool:
    try:
        return plain.get(f"{url}/v1/whoami").status_code == 401
    except httpx2.TransportError:
        return False


@dataclass
class Stream:
    """One caller's: of so many tokens, by which version, what has come and how it ended."""

    tokens: int
    began: float = field(default_factory=time.monotonic)
    version: str = ""
    text: str = ""
    ended: str = ""


@dataclass
class Callers:
    """A stream twenty times a second, whatever becomes of those before, each for the next of forty users."""

    client: openai.AsyncOpenAI
    streams: list[Stream] = field(default_factory=list)

    async def go_on(self) -> None:
        async with asyncio.TaskGroup() as group:
            for user in itertools.cycle(range(USERS)):
                group.create_task(self.stream(f"user-{user}", "chat", SHORT, 40))
                await asyncio.sleep(1 / RATE)

    async def stream(self, user: str, model: str, tokens: int, delay: int) -> None:
        made = Stream(tokens)
        self.streams.append(made)
        prompt = f"@@tokens={tokens},delay_ms={delay}@@"
        try:
            raw = await self.client.completions.with_raw_response.create(
                model=model, prompt=prompt, max_tokens=99, stream=True, user=user
            )
            made.version = raw.headers["x-model-version"]
            async for chunk in raw.parse():
                made.text += chunk.choices[0].text
                made.ended = chunk.choices[0].finish_reason or ""
        except openai.APIError as error:
            made.ended = f"{type(error).__name__}: {error}"

    def versions(self, since: float = 0.0) -> Counter[str]:
        """Of streams that began since then and have ended."""
        return Counter(stream.version for stream in self.streams if stream.ended and stream.began >= since)

    def long(self) -> list[Stream]:
        return [stream for stream in self.streams if stream.tokens == LONG]


@asynccontextmanager
async def calling(place: Place) -> AsyncIterator[Callers]:
    async with httpx2.AsyncClient(trust_env=False, timeout=PATIENCE) as http, asyncio.TaskGroup() as group:
        url = f"{place.gateway.url}/v1"
        callers = Callers(openai.AsyncOpenAI(base_url=url, api_key=place.key, max_retries=0, http_client=http))
        going_on = group.create_task(callers.go_on())
        yield callers
        going_on.cancel()


async def test_p30_a_roll_over_by_the_guide_costs_no_caller_anything(place: Place) -> None:
    """20 streams a second: none fails, before its first token or after it, and long ones end before the unload."""
    load, warm_up, shift, drain, restore, tidy = BLOCKS[1:]
    async with calling(place) as callers, asyncio.TaskGroup() as pinned:
        await until(callers.versions, lambda seen: seen["chat@1"] >= RATE)
        place.configured({"upstream": OLD}, {"upstream": NEW, "version": "2", "weight": 0})
        await asyncio.to_thread(place.shell, load + warm_up)
        assert all(begun(server, model=NEW) for server in place.servers)
        assert set(callers.versions()) == {"chat@1"}, "warming up is no caller's business"

        await asyncio.to_thread(place.shell, shift)
        shifted = time.monotonic()
        for user in range(PINNED):
            pinned.create_task(callers.stream(f"user-{user}", "chat@1", LONG, 100))
        await until(callers.long, lambda long: len(long) == PINNED and all(stream.text for stream in long))
        await asyncio.to_thread(place.shell, drain)
        assert {stream.ended for stream in callers.long()} == {"stop"}, "unloaded before its streams had ended"
        assert not any(server.is_ready(OLD) for server in place.servers)
        assert _code(place, "chat@1") == (503, "no_replica")

        await asyncio.to_thread(place.shell, restore)
        place.configured({"upstream": NEW, "version": "2"})
        await asyncio.to_thread(place.shell, tidy)
        tidied = time.monotonic()
        await until(lambda: callers.versions(tidied), lambda seen: seen["chat@2"] >= RATE)
        await until(
            lambda: [one for one in callers.streams if one.began < tidied and not one.ended], lambda left: not left
        )
        over = [stream for stream in callers.streams if stream.ended]
    assert {stream.ended for stream in over} == {"stop"}
    assert all(stream.text == "".join(words(0, stream.tokens)) for stream in over)
    assert callers.versions(shifted) == {"chat@1": PINNED, "chat@2": callers.versions(shifted)["chat@2"]}
    assert _code(place, "chat@1") == (404, "model_not_found")


async def test_p30_what_fails_to_load_gets_no_caller_and_the_way_back_costs_none(place: Place) -> None:
    """The guide's commands end where a server can't load the version; from one that is loaded callers come back."""
    async with calling(place) as callers:
        place.configured({"upstream": OLD}, {"upstream": NEW, "version": "2", "weight": 0})
        failed = await asyncio.to_thread(place.run, BLOCKS[1], "absent")
        assert failed.returncode == 22  # curl's, which bash -e ends with
        assert "error: 500" in failed.stderr
        await _only(callers, "chat@1")

        await asyncio.to_thread(place.shell, BLOCKS[1])
        for weights, version in (("1=0 2=100", "chat@2"), ("1=100 2=0", "chat@1")):
            await asyncio.to_thread(place.shell, f"snowshed weights chat {weights}")
            await _only(callers, version)
    assert {stream.ended for stream in callers.streams if stream.ended} == {"stop"}


async def _only(callers: Callers, version: str) -> None:
    """A second's worth of streams from now on, all of that version."""
    now = time.monotonic()
    await until(lambda: callers.versions(now), lambda seen: seen.total() >= RATE)
    assert set(callers.versions(now)) == {version}


def _code(place: Place, model: str) -> tuple[int, str]:
    answer = plain.post(
        f"{place.gateway.url}/v1/completions", json={"model": model, "prompt": "Hello"},
        headers={"authorization": f"Bearer {place.key}"},
    )  # fmt: skip
    return answer.status_code, answer.json()["error"]["code"]
