"""A fake model's folder, and calls for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.tensorrt_llm import Journal, fake_model


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return fake_model(tmp_path / "model")


@pytest.fixture
def journal(model: Path) -> Journal:
    return Journal(model)
