"""A text model with tensor names of its own: deltas where it is decoupled, else the whole text at once."""

from __future__ import annotations

from typing import Any

from loadtests.triton.models.decoupled import Answer, Decoupled, breaks, lied, spoilt
from loadtests.triton.models.pace import FOREVER, Steps
from loadtests.triton.models.script import script_in, until_stop


class TritonPythonModel(Decoupled):
    """`PROMPT` in, `COMPLETION` out; `LENGTH`, `HEAT` and `HALT` are what others call max_tokens and so on."""

    def answer(self, answer: Answer) -> Steps:
        asked = answer.asked
        script = script_in(asked.one("PROMPT"))
        text = b""
        for at, piece in enumerate(script.pieces(asked.one("LENGTH", 16), [])):
            yield script.pause(at)
            yield from breaks(script, at)
            text += piece
            if until_stop(text, asked.many("HALT")):
                break
            answer.tokens += 1
            if self.decoupled:
                answer.send(spoilt(script, at, "COMPLETION", _completion(piece)))
                yield from lied(script, at)
        yield from breaks(script, answer.tokens)
        if not self.decoupled:
            answer.send(spoilt(script, script.after, "COMPLETION", _completion(text)), final=True)
        elif script.fault == "no_final":
            yield FOREVER
        else:
            answer.end()

    def cancelled(self, answer: Answer) -> None:
        answer.drop("Request cancelled by client")


def _completion(text: bytes) -> dict[str, Any]:
    import numpy as np

    return {"COMPLETION": np.array([text], np.object_)}
