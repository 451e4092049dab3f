"""What a configuration may say, checked without the package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from engines.tensorrt_llm.options import TensorrtLlmOptions


@pytest.mark.parametrize(
    "wrong",
    [
        {"model": ""},
        {"tools": "morse"},
        {"guided_decoding": "hope"},
        {"kv_cache_fraction": 1.5},
        {"cancel_rate": 0},
        {"arguments": {"tensor_parallel_size": 2}},
        {"arguments": {"model": "other"}},
        {"max_sequence": 5},
    ],
    ids=str,
)
def test_mistakes_are_found(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TensorrtLlmOptions(**{"model": "m"} | wrong)


def test_only_what_is_set_is_told_to_the_llm() -> None:
    assert TensorrtLlmOptions(model="m").settings().arguments == {
        "model": "m",
        "tensor_parallel_size": 1,
    }
    options = TensorrtLlmOptions(model="m", max_seq_len=100, chunked_prefill=True, kv_cache_fraction=0.5)
    settings = options.settings()
    assert settings.arguments["max_seq_len"] == 100
    assert settings.arguments["enable_chunked_prefill"] is True
    assert settings.kv_cache == {"free_gpu_memory_fraction": 0.5}


def test_a_step_bounds_a_prompt_unless_it_is_taken_in_several() -> None:
    assert TensorrtLlmOptions(model="m", max_num_tokens=50).limits().longest_prompt == 50
    assert TensorrtLlmOptions(model="m", max_num_tokens=50, chunked_prefill=True).limits().longest_prompt is None


def test_a_folder_has_its_own_tokenizer_and_a_name_has_none(tmp_path: Path) -> None:
    assert TensorrtLlmOptions(model=str(tmp_path)).tokenizer_path() == tmp_path
    assert TensorrtLlmOptions(model="some/name").tokenizer_path() is None
    assert TensorrtLlmOptions(model="some/name", tokenizer=tmp_path).tokenizer_path() == tmp_path
