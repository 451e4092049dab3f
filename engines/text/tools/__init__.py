"""Finding tool calls in what a model writes: one parser for each way of writing them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from engines.text.tools.api import CallArguments, CallBegun, NewId, Part, Said, ToolParser
from engines.text.tools.hermes import Hermes
from engines.text.tools.llama3 import Llama3
from engines.text.tools.mistral import Mistral
from engines.text.tools.pythonic import Pythonic

TOOL_PARSERS: Mapping[str, Callable[[NewId], ToolParser]] = {
    "hermes": Hermes,
    "llama3": Llama3,
    "mistral": Mistral,
    "pythonic": Pythonic,
}
"""By the name that configuration uses. A parser reads one answer."""

__all__ = ["TOOL_PARSERS", "CallArguments", "CallBegun", "NewId", "Part", "Said", "ToolParser"]
