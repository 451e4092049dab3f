"""Every way in which a model server can be at fault, and what may come of it: the fault matrices' one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from loadtests.fleet.settings import Mode

LIMITS = {"requests": 64}
"""Of each replica: who knows how much it works on at a time can tell by a few silent calls that it has stalled."""
TIMEOUTS = {"connect": 1.0, "first_token": 9.0, "inter_token": 1.0}
"""The second one ends what a silent replica has, too late to be what ejects it."""
TOKENS = 12
OVER_HTTP = f"tokens={TOKENS},ttft_ms=20,delay_ms=5,service_ms=80"
OVER_GRPC = f"tokens={TOKENS},ttft_ms=20,delay_ms=6"
"""Settings of the simulated servers, those at fault included."""


class Switchable(Protocol):
    """A simulated server, in whatever process."""

    def set(self, **changes: object) -> None: ...

    def listen(self, mode: Mode, *, drop: bool = False) -> None: ...


@dataclass(slots=True, frozen=True)
class Fault:
    """`settings` of the simulated upstream, or what its listener does; `ejects`: whether it is the replica's failure.

    `silent`: nothing but its silence tells of it. `ends`: codes of errors that callers may get to see.
    """

    name: str
    settings: Mapping[str, Any]
    ends: frozenset[str] = frozenset()
    ejects: bool = True
    silent: bool = False
    listener: Mode = "open"

    def show(self, replica: Switchable) -> None:
        if self.settings:
            replica.set(**self.settings)
        if self.listener != "open":
            replica.listen(self.listener, drop=True)

    def tells(self, *, stream: bool) -> frozenset[str]:
        """Codes of errors that a caller may get to see; who asks for no stream sees nothing that another can mend."""
        told = self.ends if stream or not self.ejects else frozenset[str]()
        if self.silent:  # those who wait for it when it is found out may be more than may be tried again
            told |= {"upstream_timeout"}
        return told


Way = tuple[Fault, bool]
"""A fault, and whether streams are asked for."""


def model_of(way: Way) -> str:
    """The model that has it: one for each."""
    fault, stream = way
    return f"{fault.name}-{'stream' if stream else 'unary'}"


def spread(ways: Sequence[Way], places: Sequence[str]) -> dict[str, list[str]]:
    """Where each model's replicas are: a faulty one of its own, and the last two of all."""
    return {model_of(way): [place, *places[-2:]] for way, place in zip(ways, places, strict=False)}


def before(fault: str, *, silent: bool = False, **settings: object) -> Fault:
    """Instead of content: another replica is asked, and callers notice nothing."""
    return Fault(fault, {"fault": fault.partition("-")[0], "after": 0, **settings}, silent=silent)


def midway(fault: str, told: str = "upstream_interrupted", *, silent: bool = False, **settings: object) -> Fault:
    """After content of a stream, or in the middle of a unary answer, which nobody has seen yet."""
    return Fault(f"{fault}-midway", {"fault": fault, "after": 5, **settings}, frozenset({told}), silent=silent)


def works(name: str, *ends: str, **settings: object) -> Fault:
    """It is no failure of the replica's."""
    return Fault(name, settings, frozenset(ends), ejects=False)


_HTTP = (
    before("reset"),
    before("accept_silent", silent=True),
    before("half_open", silent=True),
    before("headers_silent", silent=True),
    before("stall", silent=True),
    before("status-500", status=500),
    before("status-404", status=404),
    before("error_body_200"),
    before("reset_after"),
    before("eof_clean"),
    before("eof_close"),
    before("eof_delimited"),
    before("malformed"),
    before("error_event"),
    before("gzip"),
    Fault("refused", {}, listener="refused"),
    Fault("backlog_full", {}, listener="backlog_full"),
    midway("reset_after"),
    midway("stall", "upstream_timeout", silent=True),
    midway("drip", "upstream_timeout", silent=True),
    midway("eof_clean"),
    midway("eof_close"),
    midway("eof_delimited"),
    midway("cut"),
    midway("malformed"),
    midway("error_event"),
    works("healthy"),
    works("done_late", fault="done_late"),
    works("no_usage", fault="no_usage"),
    works("close_idle", fault="close_idle"),
    works("close_reuse", fault="close_reuse"),
    works("continue_100", fault="continue_100"),
    works("no_done_but_finish", fault="no_done_but_finish"),
    works("status-400", "context_length_exceeded", fault="status", status=400),
    works("status-413", "request_too_large", fault="status", status=413),
    works("status-422", "invalid_value", fault="status", status=422),
    works("early_response", "request_too_large", fault="early_response", status=413),
    works("status-429", fault="status", status=429, retry_after="1"),
    works("status-503", fault="status", status=503),
)
HTTP_WAYS: tuple[Way, ...] = (
    *((fault, stream) for fault in _HTTP for stream in (True, False)),
    (works("wrong_length", fault="wrong_length"), True),  # whatever its framing says, [DONE] was there
    (before("wrong_length"), False),
)

_GRPC = (
    before("accept_silent", silent=True),
    before("half_open", silent=True),
    before("stall", silent=True),
    before("reset"),
    before("status", status=14),
    before("reset_after"),
    before("error"),
    before("traceback"),
    before("eof_clean"),
    before("wrong_dtype"),
    before("missing_output"),
    before("invalid_utf8"),
    before("huge"),
    Fault("wedged", {"wedged": True}, silent=True),
    Fault("refused", {}, listener="refused"),
    Fault("backlog_full", {}, listener="backlog_full"),
    midway("reset_after"),
    midway("stall", "upstream_timeout", silent=True),
    midway("drip", "upstream_timeout", silent=True, drip_ms=20_000),
    midway("error"),
    midway("traceback"),
    midway("eof_clean"),
    midway("wrong_dtype"),
    midway("missing_output"),
    midway("invalid_utf8"),
    midway("huge"),
    works("healthy"),
    works("full", slots=1, max_queue=1),
)
GRPC_WAYS: tuple[Way, ...] = tuple((fault, stream) for fault in _GRPC for stream in (True, False))
GRPC_MODEL = {"model": "tensorrt_llm", "max_message": 1 << 16}
"""Of each Triton replica: the model that its contract `llmapi` serves, and a bound that `huge` exceeds."""
