"""A conversation as a chat request carries it: messages, the parts of their content, and calls of tools.

Each role is a struct of its own, so what a role must have is its type. `null` counts as absent where optional.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from gateway.complaints import missing

Text = Annotated[str, Meta(min_length=1)]


class Object(msgspec.Struct, kw_only=True, gc=False):
    """Part of a body: decoded, looked at and dropped, so it need not be known to the garbage collector."""


class Url(Object):
    """Where an image, a film or a piece of sound is: an address or a data URL."""

    url: Text


class Audio(Object):
    """Sound, base64, and its encoding."""

    data: Text
    format: Text


class File(Object):
    """A document, base64, or its name at the model server."""

    file_data: str | None = None


class Part(Object):
    """One piece of a message's content. Kinds that are not known here pass: engines know more of them."""

    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: Url | None = None
    input_audio: Audio | None = None
    file: File | None = None
    video_url: Url | str | None = None
    audio_url: Url | str | None = None

    def __post_init__(self) -> None:
        if self.type in _PART_MEMBERS and getattr(self, self.type) is None:
            raise missing(self.type)


_PART_MEMBERS = frozenset(Part.__struct_fields__) - {"type", "video_url", "audio_url"}
"""OpenAI's: what other kinds have to have is the model server's to say."""

Parts = Annotated[list[Part], Meta(min_length=1)]


class FunctionCall(Object):
    """A call as the model made it; the arguments are JSON inside a string."""

    name: Text
    arguments: str


class ToolCall(Object):
    """One of the calls that an assistant message asked for; a type that is not named is a function."""

    id: str
    type: str | None = None
    function: FunctionCall | None = None

    def __post_init__(self) -> None:
        if self.function is None and self.type in (None, "function"):
            raise missing("function")


class System(Object, tag_field="role", tag="system"):
    """Instructions."""

    content: str | Parts


class Developer(Object, tag_field="role", tag="developer"):
    """Instructions, under the name that newer models know."""

    content: str | Parts


class User(Object, tag_field="role", tag="user"):
    """What a person said."""

    content: str | Parts
    name: str | None = None


class Assistant(Object, tag_field="role", tag="assistant"):
    """What the model said before: something at least, though not always text."""

    content: str | Parts | None = None
    refusal: str | None = None
    tool_calls: list[ToolCall] | None = None
    function_call: FunctionCall | None = None
    audio: Any = None
    reasoning_content: Any = None
    reasoning: Any = None

    def __post_init__(self) -> None:
        if self.content is None and not (
            self.tool_calls or self.function_call or self.refusal or self.audio
            or self.reasoning_content or self.reasoning
        ):  # fmt: skip
            raise missing("content")


class ToolResult(Object, tag_field="role", tag="tool"):
    """What a tool call gave."""

    content: str | Parts
    tool_call_id: Text


class FunctionResult(Object, tag_field="role", tag="function"):
    """The same in the older form, which names the function."""

    name: Text
    content: str | None


Message = System | Developer | User | Assistant | ToolResult | FunctionResult
