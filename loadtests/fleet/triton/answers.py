"""What a model of each contract says after some tokens: cumulative text or deltas, and only the extras asked for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

from loadtests.fleet.answers import Plan, plan, words
from loadtests.fleet.asks import Ask
from loadtests.fleet.settings import Settings
from loadtests.fleet.triton.contracts import Contract, ContractName, Model
from loadtests.fleet.triton.messages import Output, numbers, string
from loadtests.fleet.triton.requests import Failed, Values

LOGPROB = -0.25
"""Of every token."""
_CUT = "é🙂".encode()
"""Six bytes, given out three at a time: after an odd number of tokens the last character is not whole."""
_LLMAPI_PERF = (
    *(
        (f"kv_cache_{name}", b"0")
        for name in ("reused_block", "missed_block", "alloc_new_blocks", "alloc_total_blocks")
    ),
    ("kv_cache_hit_rate", b"0.0"),
    ("acceptance_rate", b"0.0"),
)


class Answer(ABC):
    """The answer to one request; `pieces` are its tokens' bytes."""

    died = ""
    """What the model says when its engine dies."""

    def __init__(self, model: Model, values: Values, wanted: frozenset[str], settings: Settings, number: int) -> None:
        self._model = model
        self._values = values
        self._wanted = wanted
        self.prompt: bytes = values["text_input"][0]
        self._check()
        self.plan = self._planned(settings, number)
        self.pieces = _spelled(self.plan.pieces, settings)
        self._lie = settings.fault if settings.fault in {"wrong_dtype", "missing_output"} else ""
        self._after = settings.after

    def value(self, name: str, default: Any = None) -> Any:
        """The first element of an input, if it was sent."""
        return self._values[name][0] if self._values.get(name) else default

    @property
    @abstractmethod
    def stream(self) -> bool: ...

    @abstractmethod
    def _planned(self, settings: Settings, number: int) -> Plan: ...

    @abstractmethod
    def _check(self) -> None:
        """Raises `Failed` for what the real model would not take."""

    @abstractmethod
    def _parts(self, begin: int, end: int) -> Iterator[list[Output]]: ...

    def outputs(self, begin: int, end: int) -> Iterator[list[Output]]:
        """The responses once token number `end` is there, those before `begin` having been told: one per choice."""
        for outputs in self._parts(begin, end):
            said = [one for one in outputs if one.name in self._wanted] if self._wanted else outputs
            yield self._spoilt(said) if self._lie and begin <= self._after < end else said

    def _spoilt(self, outputs: list[Output]) -> list[Output]:
        """As a server that lies would send them."""
        if self._lie == "missing_output":
            return [one for one in outputs if one.name != "text_output"]
        return [one._replace(datatype="INT32", raw=bytes(4)) if one.name == "text_output" else one for one in outputs]

    def text(self, value: bytes) -> Output:
        return self.strings("text_output", value)

    def strings(self, name: str, value: bytes) -> Output:
        return Output(name, "BYTES", self._model.shape((1,)), string(value))


def _spelled(pieces: tuple[str, ...], settings: Settings) -> tuple[bytes, ...]:
    """The tokens' bytes; some faults are nothing but other text."""
    if settings.fault == "cut_character":
        return tuple(_CUT[at % 2 * 3 :][:3] for at in range(len(pieces)))
    spelled = [piece.encode() for piece in pieces]
    if settings.after < len(spelled) and settings.fault in {"huge", "invalid_utf8"}:
        spelled[settings.after] = b"x" * settings.bytes if settings.fault == "huge" else b"\xff\xfe"
    return tuple(spelled)


class LlmApi(Answer):
    """Cumulative text, no counts; numbers are declared as such, but sent as strings."""

    died = "Error generating request: the engine died"

    @property
    def stream(self) -> bool:
        return bool(self.value("streaming", default=False))

    def _check(self) -> None:
        if len(self._values["text_input"]) > 1:
            raise Failed("Error generating request: only one text_input is supported")
        for name, least, most in (
            ("max_tokens", 1, float("inf")),
            ("temperature", 0.0, float("inf")),
            ("top_p", 0.0, 1.0),
            ("top_k", 0, float("inf")),
        ):
            value = self.value(f"sampling_param_{name}")
            if value is not None and not least <= value <= most:
                raise Failed(f"Error generating request: invalid {name}: {value}")

    def _planned(self, settings: Settings, number: int) -> Plan:
        stops = [one.decode() for one in self._values.get("sampling_param_stop", [])]
        ask = Ask(
            self._model.name,
            prompt=self.prompt.decode(errors="replace"),
            max_tokens=self.value("sampling_param_max_tokens", 32),
            stop=stops,
        )
        whole = "".join(words(settings.seed, settings.tokens))
        found = [(at, stop) for stop in stops if stop and (at := whole.find(stop)) >= 0]
        self._stop = min(found)[1] if found else "None"
        return plan(ask, "completion", settings, number)

    def _parts(self, begin: int, end: int) -> Iterator[list[Output]]:
        before = b"" if self.value("sampling_param_exclude_input_from_output") else self.prompt
        outputs = [self.text(before + b"".join(self.pieces[:end]))]
        finish = self.plan.finish if end == len(self.pieces) else "None"
        if self.value("return_finish_reason"):
            outputs.append(self.strings("finish_reason", finish.encode()))
        if self.value("return_stop_reason"):
            outputs.append(self.strings("stop_reason", self._stop.encode() if finish == "stop" else b"None"))
        if self.value("return_cumulative_logprob"):
            outputs.append(self.strings("cumulative_logprob", str(LOGPROB * end).encode()))
        if self.value("sampling_param_return_perf_metrics"):
            outputs += [self.strings(name, value) for name, value in _LLMAPI_PERF]
        yield outputs


class Ensemble(Answer):
    """Deltas with counts, each choice in responses of its own; never a finish reason."""

    died = "in ensemble 'ensemble', Executor failed process requestId 1 due to the following error: the engine died"

    @property
    def stream(self) -> bool:
        return bool(self.value("stream", default=False))

    def _check(self) -> None:
        for name, least in (("max_tokens", 1), ("num_return_sequences", 1), ("temperature", 0.0), ("top_p", 0.0)):
            value = self.value(name)
            if value is not None and value < least:
                raise Failed(f"Invalid parameter value for {name}: {value}")

    def _planned(self, settings: Settings, number: int) -> Plan:
        ask = Ask(
            self._model.name,
            prompt=self.prompt.decode(errors="replace"),
            max_tokens=self.value("max_tokens"),
            n=self.value("num_return_sequences"),
        )
        planned = plan(ask, "completion", settings, number)
        planned.pieces = _until(planned.pieces, [one.decode() for one in self._values.get("stop_words", [])])
        return planned

    def _parts(self, begin: int, end: int) -> Iterator[list[Output]]:
        whole = not self.stream and not self.value("exclude_input_in_output")
        told = (self.prompt if whole else b"") + b"".join(self.pieces[begin:end])
        count = end - begin + (self.plan.prompt_tokens if whole else 0)
        for sequence in range(self.plan.choices):
            outputs = [self.text(told)]
            if self.value("return_num_input_tokens"):
                outputs.append(self._number("num_input_tokens", self.plan.prompt_tokens))
            if self.value("return_num_output_tokens"):
                outputs.append(self._number("num_output_tokens", count))
            if self.value("return_log_probs"):
                outputs += self._logprobs(begin, end)
            if self.plan.choices > 1:
                outputs.append(self._number("sequence_index", sequence))
            yield outputs

    def _number(self, name: str, value: int) -> Output:
        return Output(name, "INT32", self._model.shape((1,)), numbers("INT32", value))

    def _logprobs(self, begin: int, end: int) -> list[Output]:
        shape = self._model.shape
        each = numbers("FP32", *[LOGPROB] * (end - begin))
        return [
            Output("cum_log_probs", "FP32", shape((1,)), numbers("FP32", LOGPROB * end)),
            Output("output_log_probs", "FP32", shape((1, end - begin)), each),
        ]


def _until(pieces: tuple[str, ...], stops: list[str]) -> tuple[str, ...]:
    """The tokens up to the one that completes a stop word, which stays in the text."""
    text = ""
    for at, piece in enumerate(pieces if stops else ()):
        text += piece
        if any(stop in text for stop in stops):
            return pieces[: at + 1]
    return pieces


ANSWERS: dict[ContractName, type[Answer]] = {"llmapi": LlmApi, "ensemble": Ensemble}


def answer(contract: Contract, values: Values, wanted: frozenset[str], settings: Settings, number: int) -> Answer:
    """`wanted`: names of the outputs asked for; empty: all that there are. Raises `Failed`."""
    return ANSWERS[contract.name](contract.served, values, wanted, settings, number)
