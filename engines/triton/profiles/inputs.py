"""From what is asked to tensors: by a table of which parameter goes into which input, and only into declared ones.

Values are those that servers take (`engines.generating.sampling`); nothing asked for is left out silently.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from engines.generating.sampling import LEAST_REPETITION, Value, settled
from engines.text.asked import Asked
from engines.text.members import invalid, unsupported
from engines.triton.profiles.api import ModelFacts
from engines.triton.tensors import Slot, Tensor

PARAMETERS: Mapping[str, tuple[str, type]] = {
    "max_tokens": ("max_tokens", int),
    "temperature": ("temperature", float),
    "top_p": ("top_p", float),
    "top_k": ("top_k", int),
    "min_p": ("min_p", float),
    "repetition_penalty": ("repetition_penalty", float),
    "presence_penalty": ("presence_penalty", float),
    "frequency_penalty": ("frequency_penalty", float),
    "min_tokens": ("min_tokens", int),
    "seed": ("seed", int),
    "best_of": ("best_of", int),
    "bad_words": ("bad_words", str),
    "stops": ("stop", str),
    "logprobs": ("logprobs", bool),
}
"""What of `Asked` may have an input: the name that a caller knows it by, and the type of its values."""

_NEUTRAL: Mapping[str, float] = {"temperature": 1, "top_p": 1}
"""Values that are sent where they can be, as the server's default may differ, and ask for nothing where not."""

_ELSEWHERE = frozenset({"stops", "max_tokens"})
"""Done by the gateway where the server can't: it reads along, and cancels. The kinds of TensorRT-LLM need the cap."""


class Inputs:
    """The inputs of one model that can be written. `names` is the table: parameters to the names of inputs."""

    __slots__ = ("_last", "_names", "_slots", "facts")

    def __init__(self, facts: ModelFacts, names: Mapping[str, str]) -> None:
        """Raises ValueError for an input of the table whose type or shape can't take the parameter."""
        self.facts = facts
        self._slots: dict[str, Slot] = {}
        self._names: dict[str, Slot] = {}
        self._last: tuple[dict[str, Sequence[Value]], list[Tensor]] = ({}, [])
        for parameter, name in names.items():
            if (slot := self.slot(name, PARAMETERS[parameter][1])) is not None:
                self._names[parameter] = slot

    def __repr__(self) -> str:
        return f"<Inputs of {self.facts.name}: {', '.join(sorted(self._slots))}>"

    def __contains__(self, parameter: str) -> bool:
        """Whether the model has an input for this parameter of the table."""
        return parameter in self._names

    def slot(self, name: str, kind: type) -> Slot | None:
        """The input of this name, None if the model has none. Raises ValueError if such values don't fit into it."""
        if name not in self.facts.inputs:
            return None
        slot = self._slots[name] = Slot(name, self.facts.inputs[name], batched=self.facts.max_batch_size > 0)
        if not slot.holds(kind):
            raise ValueError(f"The input '{name}' has the datatype {slot.declared.datatype}.")
        return slot

    def needed(self, name: str, kind: type) -> Slot:
        """The same for an input without which nothing can be asked."""
        slot = self.slot(name, kind)
        if slot is None:
            raise ValueError(f"The model '{self.facts.name}' has no input '{name}'.")
        return slot

    def constants(self, values: Mapping[str, Value]) -> tuple[Tensor, ...]:
        """What is the same in each request, of the inputs that the model has."""
        slots = ((self.slot(name, type(value)), value) for name, value in values.items())
        return tuple(slot.write(value) for slot, value in slots if slot is not None)

    def check_complete(self) -> None:
        """Raises ValueError if the model can't do without an input that nobody has named here."""
        strange = [name for name, it in self.facts.inputs.items() if not it.optional and name not in self._slots]
        if strange:
            raise ValueError(f"The model '{self.facts.name}' requires inputs that are not known: {', '.join(strange)}.")

    def check(self, asked: Asked) -> None:
        """Raises Rejected naming the first parameter that has no input, or a value that does not fit into it."""
        if asked.repetition_penalty is not None and asked.repetition_penalty < LEAST_REPETITION:
            raise invalid("repetition_penalty", f"this model takes no less than {LEAST_REPETITION}")
        self.tensors(asked)

    def tensors(self, asked: Asked) -> list[Tensor]:
        """The parameters that are set: written once for `check` and what follows it, as for requests that are alike."""
        wanted = settled(asked, has_top_k="top_k" in self._names)
        if wanted != self._last[0]:
            self._last = wanted, self._written(wanted)
        return self._last[1]

    def _written(self, wanted: Mapping[str, Sequence[Value]]) -> list[Tensor]:
        tensors = []
        for parameter, values in wanted.items():
            slot = self._names.get(parameter)
            try:
                if slot is not None:
                    tensors.append(slot.write(*values))
                elif parameter not in _ELSEWHERE and values[0] != _NEUTRAL.get(parameter):
                    raise unsupported(PARAMETERS[parameter][0])
            except ValueError as error:
                if parameter != "stops":  # if only one fits, the gateway looks for all of them
                    raise invalid(PARAMETERS[parameter][0], str(error)) from None
        return tensors


def require_output(facts: ModelFacts, name: str, datatype: str) -> None:
    """Raises ValueError if the model has no such output."""
    if name not in facts.outputs or facts.outputs[name].datatype != datatype:
        raise ValueError(f"The model '{facts.name}' has no output '{name}' of {datatype}.")
