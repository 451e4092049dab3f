"""Stands in for TensorRT-LLM's LLM API where that can't be installed: its semantics, as published, without its GPUs.

What is easy to get wrong with the real one is wrong with this one too: `SamplingParams` are changed by their use,
prompts become tokens on the calling thread, requests made off an event loop can't be read on one, texts repeat
themselves, statistics are told once, and unknown arguments raise ValueError. See `llmapi/script.py` for what a prompt
may order.
"""

from .llmapi import LLM, SamplingParams

__all__ = ["LLM", "SamplingParams"]
