"""The members of the three request bodies that the gateway reads, with their types, ranges and rules.

Everything else in a body passes through unread. `null` counts as absent wherever a member is optional. Where OpenAI
and the engines differ, the wider range is taken and the engine has the last word.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from gateway.complaints import missing, mistyped, too_long, unsuitable
from gateway.messages import Message, Object, Text

INT32 = 2**31 - 1
MAX_BATCH = 2048
"""Prompts or inputs in one request, as OpenAI has it."""

Cap = Annotated[int, Meta(ge=1, le=INT32)]
CapOrZero = Annotated[int, Meta(ge=0, le=INT32)]
Token = Annotated[int, Meta(ge=0, le=INT32)]
Penalty = Annotated[float, Meta(ge=-2, le=2)]
Share = Annotated[float, Meta(ge=0, le=1)]
Item = Text | Token | Annotated[list[Token], Meta(min_length=1)]
Batch = Text | Annotated[list[Item], Meta(min_length=1)]
"""Text, texts, the tokens of one text, or of several; which of them is not a matter of types alone: `_uniform`."""


class Function(Object):
    """A function the model may call; its parameters are a JSON schema, which the engine reads."""

    name: Text
    description: str | None = None
    parameters: dict[str, msgspec.Raw] | None = None
    strict: bool | None = None


class Tool(Object):
    """A tool on offer; types other than functions are for the engine to know."""

    type: str
    function: Function | None = None

    def __post_init__(self) -> None:
        if self.function is None and self.type == "function":
            raise missing("function")


class FunctionName(Object):
    """A function meant by its name."""

    name: Text


class ToolChoice(Object):
    """One particular tool that the model must call."""

    type: str
    function: FunctionName | None = None

    def __post_init__(self) -> None:
        if self.function is None and self.type == "function":
            raise missing("function")


class JsonSchema(Object):
    """The schema an answer must follow."""

    name: Text
    schema: dict[str, msgspec.Raw] | None = None


class ResponseFormat(Object):
    """The form of the answer; types that are not known here are for the engine to know."""

    type: str
    json_schema: JsonSchema | None = None

    def __post_init__(self) -> None:
        if self.json_schema is None and self.type == "json_schema":
            raise missing("json_schema")


class StreamOptions(Object):
    """Whether the stream ends with its usage."""

    include_usage: bool | None = None


class _Body(Object):
    """What all three have in common."""

    model: Annotated[str, Meta(min_length=1, max_length=256)]
    user: str | None = None

    def __post_init__(self) -> None:
        if not self.model.isprintable():
            raise unsuitable("model", "Invalid value for '{}': it contains unprintable characters.")


class _Generation(_Body):
    """What chat and text completions have in common."""

    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Annotated[int, Meta(ge=1, le=128)] | None = None
    stop: Text | Annotated[list[Text], Meta(max_length=4)] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Share | None = None
    min_p: Share | None = None
    top_k: Annotated[int, Meta(ge=-1, le=INT32)] | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    repetition_penalty: Annotated[float, Meta(gt=0, le=10)] | None = None
    min_tokens: CapOrZero | None = None
    seed: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | None = None
    logit_bias: dict[Token, Annotated[float, Meta(ge=-100, le=100)]] | None = None
    response_format: ResponseFormat | None = None
    n_predict: Cap | None = None

    def __post_init__(self) -> None:
        _Body.__post_init__(self)  # a third of the cost of super(), on every request
        if self.stream_options is not None and not self.stream:
            raise unsuitable("stream_options", "The '{}' parameter is only allowed when 'stream' is enabled.")


class Chat(_Generation, kw_only=True):
    """POST /v1/chat/completions."""

    messages: Annotated[list[Message], Meta(min_length=1)]
    max_tokens: Cap | None = None
    max_completion_tokens: Cap | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    tools: list[Tool] | None = None
    tool_choice: Literal["none", "auto", "required"] | ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    functions: list[Function] | None = None
    function_call: Literal["none", "auto"] | FunctionName | None = None

    def __post_init__(self) -> None:
        _Generation.__post_init__(self)
        if self.top_logprobs and not self.logprobs:
            raise unsuitable("top_logprobs", "The '{}' parameter is only allowed when 'logprobs' is true.")
        if self.tool_choice is not None:
            self._check_tool_choice()

    def _check_tool_choice(self) -> None:
        if self.tool_choice in ("none", "auto"):  # neutral, and common even without tools
            return
        if not self.tools:
            raise unsuitable("tool_choice", "The '{}' parameter is only allowed when 'tools' are given.")
        if isinstance(self.tool_choice, ToolChoice) and (wanted := self.tool_choice.function) is not None:
            names = [tool.function.name for tool in self.tools if tool.function is not None]
            if wanted.name not in names:
                raise unsuitable("tool_choice.function.name", "Invalid value for '{}': no such function in 'tools'.")


class Completion(_Generation, kw_only=True):
    """POST /v1/completions. A cap of 0 tokens is meant: with `echo` it asks for the prompt's own probabilities."""

    prompt: Batch
    max_tokens: CapOrZero | None = None
    max_completion_tokens: CapOrZero | None = None
    best_of: Annotated[int, Meta(ge=1, le=128)] | None = None
    logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    echo: bool | None = None
    suffix: str | None = None

    def __post_init__(self) -> None:
        _Generation.__post_init__(self)
        _uniform("prompt", self.prompt)
        if self.best_of is not None:
            if self.best_of < (self.n or 1):
                raise unsuitable("best_of", "Invalid '{}': it must not be less than 'n'.")
            if self.stream and self.best_of > (self.n or 1):
                raise unsuitable("best_of", "Invalid '{}': a stream cannot choose among more answers than 'n'.")


class Embedding(_Body, kw_only=True):
    """POST /v1/embeddings."""

    input: Batch
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Meta(ge=1, le=INT32)] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _uniform("input", self.input)


def _uniform(member: str, batch: str | list[str | int | list[int]]) -> None:
    """Refuse a list of unlike things, and one of too many texts; the tokens of one text may be as many as they like."""
    if isinstance(batch, str):
        return
    kind = type(batch[0])
    if len(set(map(type, batch))) > 1:
        odd = next(index for index, item in enumerate(batch) if type(item) is not kind)
        raise mistyped(f"{member}[{odd}]", "all items to be of the same type")
    if kind is not int and len(batch) > MAX_BATCH:
        raise too_long(member, MAX_BATCH)
