"""Talking to model servers: `ENGINES` lists what a configuration may name."""

from __future__ import annotations

from collections.abc import Mapping

from engines.api import EngineFactory
from engines.openai import OpenAIEngine

ENGINES: Mapping[str, EngineFactory] = {"openai": OpenAIEngine}
