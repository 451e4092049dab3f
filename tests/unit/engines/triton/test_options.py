"""What a configuration may say of a replica on Triton: mistakes are told at the start, and nothing is overheard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from engines.triton.options import TritonOptions

MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"metrics": "http://host:999999/metrics"}, "metrics"),
    ({"metrics": "http://host:0/metrics"}, "metrics"),
    ({"cancel": {"policy": "drain-then-discard", "rate": 5}}, "of no use"),
    ({"profile": "llmapi", "tensors": {"text_input": "x"}}, "not for llmapi"),
    ({"tensors": {"parameters": {"nothing": "x", "best_of": "y"}}}, "best_of, nothing"),
]


@pytest.mark.parametrize(("options", "words"), MISTAKES, ids=lambda value: str(value)[:80])
def test_a_mistake_is_told_at_the_start(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        TritonOptions(url="localhost:1", **options)


@pytest.mark.parametrize("content", [b"nothing", b"\xff\xfe\x00", b"-----BEGIN CERTIFICATE-----\nx\n"])
@pytest.mark.parametrize("names", [("ca",), ("certificate", "key")])
def test_a_file_that_is_no_certificate_is_named(tmp_path: Path, names: tuple[str, ...], content: bytes) -> None:
    file = tmp_path / "file.pem"
    file.write_bytes(content)
    options = TritonOptions.model_validate({"url": "grpcs://localhost:1", "tls": dict.fromkeys(names, file)})
    with pytest.raises(ValueError, match=r"file\.pem"):
        options.security()
