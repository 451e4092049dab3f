"""Talking to model servers: `ENGINES` lists what a configuration may name."""

from __future__ import annotations

from collections.abc import Mapping

from engines.api import EngineFactory
from engines.embedded.engine import EmbeddedEngine
from engines.openai import OpenAIEngine
from engines.scripted import ScriptedEngine
from engines.tensorrt_llm.engine import TensorrtLlmEngine
from engines.triton.engine import TritonEngine

ENGINES: Mapping[str, EngineFactory] = {
    "embedded": EmbeddedEngine,
    "openai": OpenAIEngine,
    "scripted": ScriptedEngine,
    "tensorrt_llm": TensorrtLlmEngine,
    "triton": TritonEngine,
}
