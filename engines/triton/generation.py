"""One text being generated: messages of the server in, bytes for the client out, and what there is to count."""

from __future__ import annotations

from engines.api import Failed, Kind
from engines.generating.errors import reported
from engines.text.asked import Asked
from engines.text.choice import Choice
from engines.text.deltas import Cumulative, Deltas
from engines.text.prompts import MEASURED
from engines.triton.cutting import Cut, Measure
from engines.triton.inference import Answers
from engines.triton.profiles.api import Profile, Step


class TextGeneration:
    """See `hearing.Generation`.

    `completion` are the tokens so far: as reported or, where the server reports none, one for each answer with text
    (a server may put several into one). `counted` tells which, unless those are as many as were asked for, which is
    then no accident. A text that comes in one piece is measured by `measure`, of a long one its beginning, and so is
    one that is to be cut here.
    """

    __slots__ = (
        "_answers",
        "_cap",
        "_choice",
        "_cut",
        "_deltas",
        "_measure",
        "_read",
        "_reason",
        "_say",
        "_step",
        "_whole",
        "completion",
        "counted",
        "done",
        "kind",
        "prompt",
    )  # fmt: skip

    def __init__(self, profile: Profile, answers: Answers, choice: Choice, asked: Asked, measure: Measure) -> None:
        self._answers = answers
        self._read = answers.read
        self._step = profile.step
        self._deltas: Cumulative | Deltas = Cumulative() if profile.cumulative else Deltas()
        self._choice = choice
        self._say = choice.say
        self.kind: Kind = asked.kind
        self._cap = asked.max_tokens
        self._cut = None if profile.capped else Cut(asked.max_tokens, measure)
        self._measure = measure
        self._whole = ""  # while there has been one piece of text only
        self._reason: str | None = None
        self.done = False
        self.prompt: int | None = None
        self.completion = 0
        self.counted = False

    def __repr__(self) -> str:
        return f"<TextGeneration {'done' if self.done else 'open'}, {self.completion} tokens>"

    @property
    def stopped(self) -> bool:
        """Whether it is done while the server still generates."""
        return self.done and not self._answers.final

    def hear(self, message: bytes) -> bytes:
        """Raises EngineError for what is an error, or no answer at all."""
        try:
            outputs = self._read(message)
            if self._answers.error:
                raise reported(self._answers.error, self.kind)
            # Only the last response may be empty: another one without the text would leave a gap that nobody sees.
            out = self._add(self._step(outputs)) if outputs or not self._answers.final else b""
            if self._answers.final and not self.done:
                out += self._end()
        except ValueError:
            raise Failed("The model server's answer is not what it should be.") from None
        return out

    def _add(self, step: Step) -> bytes:
        text = self._deltas.feed(step.text)
        if self._cut is not None:
            return self._add_fitting(self._cut, text, step)
        if step.completion_tokens is not None:
            self.completion += step.completion_tokens
        elif step.text:
            self._whole = "" if self.counted else text
            self.counted = True
            if self.completion < self._cap:
                self.completion += 1
            elif text:  # a server that does not heed its cap
                return self._finish("length")
        return self._go_on(text, step)

    def _go_on(self, text: str, step: Step) -> bytes:
        if step.prompt_tokens is not None:
            self.prompt = step.prompt_tokens
        if step.finish is not None:
            self._reason = step.finish
        out = self._say(text, step.logprobs) if text or step.logprobs else b""
        if self._choice.stopped:
            out += self._finish("stop")
        return out

    def _add_fitting(self, cut: Cut, text: str, step: Step) -> bytes:
        """What there is room for; with it the text ends where the server would go on."""
        if not step.text and not step.completion_tokens:
            return self._go_on(text, step)
        fitting, tokens = cut.take(text, step.completion_tokens)
        self.completion += tokens
        self.counted = self.counted or step.completion_tokens is None
        out = self._go_on(fitting, step)
        if not self.done and cut.full and (fitting != text or not self._answers.final):
            out += self._finish("length")
        return out

    def _end(self) -> bytes:
        """The server has said everything."""
        beginning = self._whole[:MEASURED]
        if beginning and (tokens := self._measure(beginning)):  # the rest of a long text has about as many
            self.completion = min(tokens * len(self._whole) // len(beginning), self._cap)
        taken_back = self._deltas.taken_back
        rest = self._deltas.flush()
        out = self._say(rest, None) if rest else b""
        if self._choice.stopped:
            return out + self._finish("stop")
        return out + self._finish(self._because(), taken_back)

    def _because(self) -> str:
        """Why it ended: in the server's words, where they are believed, or because it has as many tokens as allowed."""
        if self._reason in ("cancelled", "timeout"):
            raise Failed("The model server broke the answer off.")
        full = self._reason is None and self.completion >= self._cap
        return "length" if full or self._reason == "length" else "stop"

    def _finish(self, reason: str, taken_back: str = "") -> bytes:
        self.done = True
        if self.completion == self._cap:
            self.counted = False
        return self._choice.end(reason, taken_back)
