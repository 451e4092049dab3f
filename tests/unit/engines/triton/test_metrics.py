"""Triton's page of metrics: the queue of one model, and TensorRT-LLM's gauges where its C++ backend runs."""

from __future__ import annotations

import pytest

from engines.api import Capacity, Load
from engines.triton.metrics import read

TRITON = b"""\
# HELP nv_inference_request_success Number of successful inference requests, all batch sizes
# TYPE nv_inference_request_success counter
nv_inference_request_success{model="llm",version="1"} 12
# HELP nv_inference_pending_request_count Instantaneous number of pending requests awaiting execution per-model.
# TYPE nv_inference_pending_request_count gauge
nv_inference_pending_request_count{model="tensorrt_llm",version="1"} 3
nv_inference_pending_request_count{model="tensorrt_llm",version="2"} 4
nv_inference_pending_request_count{model="other",version="1"} 50
nv_cpu_utilization 0.75
"""
BACKEND = b"""\
# TYPE nv_trt_llm_request_metrics gauge
nv_trt_llm_request_metrics{model="tensorrt_llm",request_type="active",version="1"} 9
nv_trt_llm_request_metrics{model="tensorrt_llm",request_type="scheduled",version="1"} 7
nv_trt_llm_request_metrics{model="tensorrt_llm",request_type="max",version="1"} 64
# TYPE nv_trt_llm_kv_cache_block_metrics gauge
nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="max",model="tensorrt_llm",version="1"} 200
nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="used",model="tensorrt_llm",version="1"} 50
nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="fraction",model="tensorrt_llm",version="1"} 0.9
nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="tokens_per",model="tensorrt_llm",version="1"} 64
"""
TAKES = Capacity(64, None, 12_800)


def test_the_queue_of_all_versions_is_what_the_python_api_leaves_to_see() -> None:
    assert read(TRITON, "tensorrt_llm") == Load(running=None, waiting=7, kv_used=None)


def test_the_cpp_backend_adds_what_runs_what_it_has_taken_in_and_what_it_takes() -> None:
    assert read(TRITON + BACKEND, "tensorrt_llm") == Load(running=7, waiting=9, kv_used=0.25, capacity=TAKES)


def test_a_waiting_count_of_its_own_wins_over_the_difference() -> None:
    waiting = b'nv_trt_llm_request_metrics{request_type="waiting"} 5\n'
    assert read(BACKEND + waiting, "tensorrt_llm") == Load(running=7, waiting=5, kv_used=0.25, capacity=TAKES)


def test_a_share_stands_in_for_blocks_that_are_not_told() -> None:
    assert read(b'nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="fraction"} 1.5\n', "m") == Load(kv_used=1.0)


@pytest.mark.parametrize("page", [b"", b"# nothing\n", TRITON.replace(b'"tensorrt_llm"', b'"gone"'), b"nv_cpu 1\n"])
def test_a_page_without_a_word_on_the_model_is_unknown_not_idle(page: bytes) -> None:
    assert read(page, "tensorrt_llm") is None


@pytest.mark.parametrize("value", [b"NaN", b"-1", b"+Inf"])
def test_a_value_that_counts_nothing_is_not_read(value: bytes) -> None:
    assert read(b'nv_inference_pending_request_count{model="m"} %b\n' % value, "m") is None


@pytest.mark.parametrize("rest", [b"{model=m} 1", b'{model="m", ="1"} 1', b'{model="m"} x', b" 1\xff"])
def test_an_unreadable_page_is_a_value_error(rest: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read(b"nv_inference_pending_request_count%b\n" % rest, "m")
