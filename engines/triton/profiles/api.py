"""What a profile is: how one kind of model wants to be asked, and how it answers.

A profile is made once for a loaded model, from what its config says (`ModelFacts`), and holds no state of a request:

    profile.check(asked)                   # Rejected, naming the parameter that this model can't honour
    profile.tensors(asked, prompt)         # the inputs of one request
    profile.step(outputs)                  # what one answer adds; ValueError if it can't be one
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from engines.text.asked import Asked
from engines.triton.tensors import Declared, Tensor

__all__ = ["Adapter", "Declared", "ModelFacts", "Profile", "ProfileFactory", "Step", "TensorMap"]


@dataclass(slots=True, frozen=True)
class ModelFacts:
    """What a model's config says of it. Datatypes are the wire's: BYTES, FP32, ...; TYPE_STRING is BYTES there.

    `parameters` are the config's own, `string_value` each. `steps` are the models an ensemble is composed of.
    `instances` execute at a time, one request each or, where Triton makes `batches`, up to `max_batch_size`.
    """

    name: str
    platform: str = ""
    backend: str = ""
    max_batch_size: int = 0
    instances: int = 0
    batches: bool = False
    decoupled: bool = False
    inputs: Mapping[str, Declared] = field(default_factory=dict)
    outputs: Mapping[str, Declared] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    steps: tuple[str, ...] = ()


@dataclass(slots=True, frozen=True)
class Adapter:
    """A LoRA adapter as the operator's catalog has it, never as a caller names it. `path` is on the model server."""

    name: str
    id: int
    path: str = ""


class TensorMap(BaseModel):
    """For models of no known kind: the names of their inputs and outputs, as an operator writes them down.

    `embedding` is the output with the vector of a model that makes embeddings; then there is no text output.
    `parameters` are the names of inputs for what is asked, by its name in `Asked`: see `generic.MAPPED`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    text_input: str = Field("text_input", description="Input of the prompt.")
    text_output: str = Field("text_output", description="Output of the text.")
    embedding: str = Field("", description="Output of the vector, for a model that makes embeddings.")
    cumulative: bool = Field(default=False, description="Whether each answer repeats the text so far.")
    parameters: Mapping[str, str] = Field({}, description="Inputs for what is asked, by its name: {max_tokens: NAME}.")
    finish_reason: str = Field("", description="Output that says why a text ended.")
    prompt_tokens: str = Field("", description="Output of the prompt's length.")
    completion_tokens: str = Field("", description="Output of the answer's length.")


class Step(msgspec.Struct, gc=False):
    """What one answer of a stream says.

    `text` is what is new, or all there is so far where the profile is cumulative; it may end within a character.
    `finish` is the server's word for the end, None where it says none: "stop", "length", "cancelled", "timeout".
    `prompt_tokens` are repeated with each answer; `completion_tokens` are those of this one: add them up.
    `logprobs` are those of this answer's tokens.
    """

    text: bytes
    finish: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    logprobs: tuple[float, ...] | None = None


class Profile(Protocol):
    """How to talk to one model. Making one raises ValueError, for the operator, if the model does not fit."""

    name: ClassVar[str]
    cumulative: bool
    """Whether each answer repeats all text so far."""

    expected: Mapping[str, str]
    """Datatypes that the outputs must have on the wire; others are not read."""

    embeds: ClassVar[bool]
    """Whether it makes embeddings, and nothing else; otherwise text, and nothing else."""

    seeded: bool
    """Whether the model is told a seed."""

    capped: bool
    """Whether the model is told how many tokens it may make; otherwise the text is cut here."""

    def check(self, asked: Asked) -> None:
        """Raises Rejected naming the first parameter that can't be honoured, or is out of the server's range."""

    def tensors(self, asked: Asked, prompt: str) -> list[Tensor]:
        """The inputs for one text after one prompt, of what has been checked, each of them declared by the model.

        `n` and further prompts are requests of their own: any server can do that, and each can be cancelled alone.
        """

    def step(self, outputs: Mapping[str, bytes]) -> Step:
        """Reads one answer's outputs, content by name. Not for a final answer without outputs. Raises ValueError."""

    def vector(self, outputs: Mapping[str, bytes]) -> array[float]:
        """The embedding of one input, 4 bytes a number. Raises ValueError."""


class ProfileFactory(Protocol):
    """A class in `PROFILES`. Adapters are for those that know them, a tensor map for the generic one."""

    def __call__(
        self, facts: ModelFacts, adapter: Adapter | None = None, tensors: TensorMap | None = None
    ) -> Profile: ...
