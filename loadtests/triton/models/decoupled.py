"""What the scripted streaming models share: answers that run side by side, a journal, cancelling, errors."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from abc import abstractmethod
from typing import Any

from loadtests.triton import journal
from loadtests.triton.models.asked import Asked
from loadtests.triton.models.notes import Notes
from loadtests.triton.models.pace import FOREVER, Cancelled, Pace, Steps
from loadtests.triton.models.script import Script
from loadtests.triton.models.stub import backend

_SETTLING = 0.5
"""Seconds between a token and an error: an ensemble's error overtakes the tokens that are still in postprocessing."""
PARTING = 0.2
"""Seconds in which a client may leave for what it was told, before the end: Triton 2.51 now and then dies of a client
that leaves as the end comes, for its gRPC front end frees a stream that it still uses."""
_LIES = ("huge", "invalid_utf8", "missing_output", "wrong_dtype")
_ERRORS = ("error", "missing_output", "wrong_dtype")
"""What is an error in an ensemble."""


class Refused(Exception):
    """An error, in the words in which the client gets it."""


class Answer:
    """One request being answered: where its responses go, and how far it has come."""

    def __init__(self, asked: Asked, sender: Any, *, decoupled: bool) -> None:
        self.asked = asked
        self.decoupled = decoupled
        self.tokens = 0
        self.stopped = False
        self._sender = sender

    def __repr__(self) -> str:
        return f"<Answer {self.asked.id!r} {self.tokens} tokens>"

    def unwanted(self) -> bool:
        """Whether a request stopped it or its client cancelled it."""
        return self.stopped or bool(self.asked.request.is_cancelled())

    def send(self, outputs: dict[str, Any], *, final: bool = False) -> None:
        """`outputs`: numpy arrays by name. They leave in another order than the configuration's."""
        pb = backend()
        tensors = [pb.Tensor(name, array) for name, array in sorted(outputs.items(), reverse=self.tokens % 2 == 0)]
        self._sender.send(pb.InferenceResponse(tensors), flags=pb.TRITONSERVER_RESPONSE_COMPLETE_FINAL if final else 0)

    def error(self, message: str, code: str = "INTERNAL") -> None:
        """An error, which wants an end in a response of its own, where there may be more than one.

        In one response they would let a model that calls this one wait for ever (Triton 2.51).
        """
        pb = backend()
        error = pb.InferenceResponse(error=pb.TritonError(message, getattr(pb.TritonError, code)))
        self._sender.send(error, flags=0 if self.decoupled else pb.TRITONSERVER_RESPONSE_COMPLETE_FINAL)

    def end(self) -> None:
        """The final response, without anything in it."""
        pb = backend()
        self._sender.send(flags=pb.TRITONSERVER_RESPONSE_COMPLETE_FINAL)

    def drop(self, message: str) -> None:
        """An error and the end at once, for a client that has left."""
        self.error(message, "CANCELLED")
        if self.decoupled:
            self.end()

    def fail(self, message: str, parting: float) -> Steps:
        """An error, and the end when the client has had the time to leave, `parting` seconds."""
        self.error(message)
        if self.decoupled:
            with contextlib.suppress(Cancelled):
                yield parting
            self.end()


class Decoupled:
    """Triton calls `initialize` once and `execute` with requests; how a request is answered says `answer`."""

    parting: float = PARTING

    def initialize(self, args: dict[str, str]) -> None:
        self.name = args["model_name"]
        self.config: dict[str, Any] = json.loads(args["model_config"])
        self.decoupled: bool = self.config["model_transaction_policy"]["decoupled"]
        self.notes = Notes(self.name)
        self.running: dict[str, Answer] = {}
        poll = int(self.parameter("cancellation_check_period_ms", "20")) / 1000
        self.pace = Pace(poll)
        self.prepare()

    def parameter(self, name: str, default: str) -> str:
        value: str = self.config["parameters"].get(name, {}).get("string_value", default)
        return value

    def prepare(self) -> None:
        """What a model does once, when it is loaded."""

    @abstractmethod
    def answer(self, answer: Answer) -> Steps:
        """Send responses, the final one too. Raises `Refused`; `Cancelled` comes out of a `yield`."""

    @abstractmethod
    def cancelled(self, answer: Answer) -> None:
        """Say the last word to a request that was cancelled."""

    def execute(self, requests: list[Any]) -> None:
        for request in requests:
            answer = Answer(Asked(request), request.get_response_sender(), decoupled=self.decoupled)
            self.pace.begin(self.steps(answer), answer.unwanted)

    def steps(self, answer: Answer) -> Steps:
        """Answer, keeping the journal."""
        note = self.notes.begin(answer.asked)
        if not answer.asked.one("stop"):
            self.running[answer.asked.id] = answer  # as in TensorRT-LLM: an id that is used twice is the later one's
        outcome: journal.Outcome = "failed"
        try:
            yield from self.answer(answer)
            outcome = "finished"
        except Cancelled:
            outcome = "stopped" if answer.stopped else "cancelled"
            self.cancelled(answer)
        except Exception as error:  # noqa: BLE001 - whatever it is, the client needs an end
            yield from answer.fail(str(error), self.parting)
        finally:
            if self.running.get(answer.asked.id) is answer:
                del self.running[answer.asked.id]
            note.end(outcome, answer.tokens)

    def stop(self, request_id: str) -> None:
        """Let the running request with this id end at its next step."""
        if running := self.running.get(request_id):
            running.stopped = True


def breaks(script: Script, at: int) -> Steps:
    """The faults before token number `at`: most end the answer."""
    if at != script.after:
        return
    if script.fault in _ERRORS:
        yield _SETTLING if at else 0
    if script.fault == "error":
        raise Refused("the engine died")
    if script.fault == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if script.fault == "stall":
        yield FOREVER


def spoilt(script: Script, at: int, name: str, outputs: dict[str, Any]) -> dict[str, Any]:
    """`outputs` of token number `at` as a server that lies would send them. `name`: the output with the text."""
    import numpy as np

    if at != script.after or script.fault not in ("wrong_dtype", "missing_output"):
        return outputs
    lies = {key: value for key, value in outputs.items() if key != name}
    if script.fault == "wrong_dtype":
        lies[name] = np.full(outputs[name].shape, 7, np.int32)
    return lies


def lied(script: Script, at: int) -> Steps:
    """After token number `at`: if that was a lie, the answer goes on when the client has had the time to leave."""
    if at == script.after and script.fault in _LIES:
        yield PARTING
