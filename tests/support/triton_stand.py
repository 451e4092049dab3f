"""A gateway in front of Triton servers: models by public names, the official SDK, records of who asked what."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import httpx2
import msgspec
import openai

from engines.embedded.weights import default_cache, pull
from engines.triton.options import TritonOptions
from loadtests.triton import Entry, TritonServer
from tests.support.gateway import RunningGateway, configuration, running_gateway
from tests.support.tiny_tokenizer import write_tiny_tokenizer
from tests.support.waiting import PATIENCE, until
from tests.support.written import written

TRANSPORTS: tuple[str, ...] = get_args(TritonOptions.model_fields["transport"].annotation)
GENERIC = {
    "text_input": "PROMPT",
    "text_output": "COMPLETION",
    "parameters": {"max_tokens": "LENGTH", "temperature": "HEAT"},
}
SERVED: Mapping[str, tuple[str, dict[str, Any]]] = {
    "llmapi": ("llmapi", {"tools": "hermes"}),
    "ensemble": ("ensemble", {"tools": "hermes"}),
    "bls": ("tensorrt_llm_bls", {"tools": "hermes"}),
    "accumulating": ("bls_accumulating", {"tools": "hermes"}),
    "generic": ("generic", {"tools": "hermes", "tensors": GENERIC}),
    "smollm2": ("smollm2", {}),
    "embedder": ("embedder", {"tensors": {"text_input": "text", "embedding": "embedding"}}),
}
"""By public name: the model on the real Triton, and how the gateway is told to ask it."""
GENERATES = {"ensemble": "tensorrt_llm", "bls": "tensorrt_llm", "accumulating": "tensorrt_llm"}
"""The model that makes the tokens of one of `SERVED`, where that is not itself."""
_PASSING_ON = {"preprocessing", "postprocessing", *(SERVED[name][0] for name in GENERATES)}


def weights() -> Path:
    """The real model's file: its tokenizer and template, too."""
    return pull(default_cache(os.environ, Path.home()), print)


def behind(name: str, tokenizer: Path, *replicas: Mapping[str, Any]) -> dict[str, Any]:
    """A model of the configuration, over replicas with these options."""
    return {"name": name, "engine": "triton", "replicas": [{"tokenizer": str(tokenizer), **one} for one in replicas]}


def need_served(server: TritonServer) -> None:
    """Load what is missing of `SERVED`: others may have started the server again since. Else it takes 2 ms."""
    server.need(*(model for model, _ in SERVED.values()))


def real_models(server: TritonServer, tokenizer: Path, **options: Any) -> list[dict[str, Any]]:
    """All of `SERVED`, which the server loads; `options` for each."""
    need_served(server)
    return [
        behind(
            name, weights() if name == "smollm2" else tokenizer, {"url": server.grpc, "model": model} | own | options
        )
        for name, (model, own) in SERVED.items()
    ]


@dataclass(slots=True)
class TritonStand:
    """A gateway to ask, and the records of what it was asked."""

    gateway: RunningGateway
    http: httpx2.Client
    log: Path
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def sdk(self) -> openai.OpenAI:
        """The official client, without retries of its own."""
        return openai.OpenAI(base_url=f"{self.gateway.url}/v1", api_key="none", max_retries=0, http_client=self.http)

    def label(self) -> str:
        """A new one to send along as x-client-request-id."""
        return f"label-{next(self._numbers)}"

    def records(self) -> dict[str, dict[str, Any]]:
        """Every request's record so far, by label."""
        return {line["client_request_id"]: line for line in written(self.log)}

    def record(self, label: str) -> dict[str, Any]:
        """The record with this label, as soon as it is there."""
        self.gateway.wait_until(lambda: label in self.records())
        return self.records()[label]

    def calls(self) -> int:
        """Calls to model servers that the engines hold, whoever waits for them."""
        engines = [repr(replica.engine) for replica in self.gateway.objects.upstreams.replicas]
        found = [re.findall(r"(\d+) (?:calls|heard here|wait to be cancelled|waiting)", one) for one in engines]
        assert all(found), found
        return sum(int(number) for each in found for number in each)

    def wait_idle(self, timeout: float = PATIENCE) -> None:
        """Until nothing is held: no request, no replica's place, no call to a server."""
        self.gateway.wait_idle(timeout)
        self.gateway.wait_until(lambda: self.calls() == 0, timeout)


@contextmanager
def triton_stand(
    folder: Path, models: Callable[[Path], list[dict[str, Any]]], **sections: Any
) -> Iterator[TritonStand]:
    """For the length of a block, after which nothing may be held.

    `models` makes the configuration's, given a tokenizer that lies in `folder`.
    """
    log = folder / "records.jsonl"
    fd = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    try:
        tree = configuration(models=models(write_tiny_tokenizer(folder / "tokenizer")), **sections)
        with running_gateway(tree, log_fd=fd) as gateway, gateway.client() as http:
            stand = TritonStand(gateway, http, log)
            yield stand
            stand.wait_idle()
    finally:
        os.close(fd)


class Journal:
    """What a real server's models were asked since this was made, or since `forget`."""

    def __init__(self, server: TritonServer) -> None:
        self._file = server.journal_file
        self._known = 0
        self.forget()

    def __repr__(self) -> str:
        return f"<Journal {self._file}, from byte {self._known}>"

    def forget(self) -> None:
        """Whole lines, each written at once: a run's file is too long to be read again for each test."""
        self._known = self._file.stat().st_size if self._file.exists() else 0

    def entries(self) -> list[Entry]:
        """Of requests that began before, and end late, there is nothing."""
        if not self._file.exists():
            return []
        with self._file.open("rb") as file:
            file.seek(self._known)
            found = [msgspec.json.decode(line, type=Entry) for line in file.read().split(b"\n")[:-1]]
        begun = {one.number for one in found if one.outcome is None}
        return [one for one in found if one.number in begun]

    def asked(self) -> list[Entry]:
        """The beginnings: one for each text that a model was to make."""
        return [
            one
            for one in self.entries()
            if one.outcome is None and one.model not in _PASSING_ON and "stop" not in one.inputs
        ]

    def ends(self) -> list[Entry]:
        """How those ended that have."""
        asked = {one.number for one in self.asked()}
        return [one for one in self.entries() if one.outcome is not None and one.number in asked]

    async def until(self, enough: Callable[[list[Entry]], bool]) -> list[Entry]:
        """The entries as soon as `enough(entries)` holds."""
        return await until(self.entries, enough)
