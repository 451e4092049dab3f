"""Finds out what a chat template takes, by trying: it has no other way to say it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

from engines.text.turns import Takes

MARK = "snowshedprobe"
ARGUMENT = "snowshedasks"
TOOL = {
    "type": "function",
    "function": {
        "name": MARK,
        "description": "Finds a thing.",
        "parameters": {"type": "object", "properties": {ARGUMENT: {"type": "string"}}, "required": [ARGUMENT]},
    },
}
HELLO = {"role": "user", "content": "Hello"}
Messages = list[dict[str, Any]]
Try = Callable[[Messages, list[dict[str, Any]] | None], str]
"""The prompt of messages and tools as they stand, "" if the template refuses them."""


def shows_tools(attempt: Try) -> bool:
    return MARK in attempt([HELLO], [TOOL])


def takes(attempt: Try, *, developer: bool) -> Takes:
    text = {"type": "text", "text": MARK}
    in_parts = _asked(attempt, [text])
    pictured = _asked(attempt, [text, {"type": "image"}])
    parts = MARK in in_parts and not _spelt_out(in_parts)
    nothing, json_arguments = _calling(attempt)
    return Takes(
        texts=MARK in _asked(attempt, MARK) or not parts,
        parts=parts,
        images=parts and MARK in pictured and pictured != in_parts and not _spelt_out(pictured),
        developer=developer,
        nothing=nothing,
        json_arguments=json_arguments,
    )


def _asked(attempt: Try, content: Any) -> str:
    return attempt([{"role": "user", "content": content}], None)


def _spelt_out(prompt: str) -> bool:
    """Whether a template that expects a text wrote a list as Python or JSON spells it."""
    return "'type'" in prompt or '"type"' in prompt


def _calling(attempt: Try) -> tuple[bool, bool]:
    """How a call has to be given for its name and argument to be shown: with null content, with JSON arguments."""
    for json_arguments, nothing in product((False, True), (True, False)):
        arguments: Any = f'{{"{ARGUMENT}": 1}}' if json_arguments else {ARGUMENT: 1}
        call = {"id": "call12345", "type": "function", "function": {"name": MARK, "arguments": arguments}}
        calling = {"role": "assistant", "content": None if nothing else "", "tool_calls": [call]}
        answer = {"role": "tool", "tool_call_id": "call12345", "name": MARK, "content": "Found."}
        if _called(attempt([HELLO, calling, answer], None)):
            return nothing, json_arguments
    return False, False


def _called(prompt: str) -> bool:
    """Whether the call is shown, and not as Python's dict, a text within a text, or beside the word None."""
    wrong = (f"'{ARGUMENT}'", f'\\"{ARGUMENT}', "None")
    return MARK in prompt and ARGUMENT in prompt and not any(text in prompt for text in wrong)
