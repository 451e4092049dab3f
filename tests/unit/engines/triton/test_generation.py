"""A text whose server is told no cap: said up to it, ended there, and counted."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tritonclient.grpc import service_pb2 as pb

from engines.api import Call, Usage
from engines.text.answer import Document, Envelope
from engines.text.asked import Asked
from engines.text.choice import Choice
from engines.text.prompts import MEASURED
from engines.text.stops import Stops
from engines.triton.generation import TextGeneration
from engines.triton.inference import Answers, Memo
from engines.triton.profiles import PROFILES
from engines.triton.profiles.api import TensorMap
from tests.support.golden_table import facts

CAP = 4


def words(text: str) -> int | None:
    """Like the prompts' own measure: no text that would hold up the loop."""
    return len(text.split()) if len(text) <= MEASURED else None


class Told:
    """A generation of up to `cap` words by a model that takes no cap, or is told it; `counts`: the model says it made
    three a time.
    """

    def __init__(
        self, *, cap: int = CAP, capped: bool = False, counts: bool = False, stops: tuple[str, ...] = ()
    ) -> None:
        self._document = Document(0)
        parameters = {"max_tokens": "MAX_NEW"} if capped else {}
        names = TensorMap(text_input="PROMPT", text_output="ANSWER", parameters=parameters)
        profile: Any = PROFILES["generic"](facts("generic"), None, names)
        assert profile.capped is capped
        self._counts = counts
        answers = Answers(profile.expected, Memo())
        choice = Choice(self._document, stops=Stops(stops) if stops else None)
        asked = Asked(kind="completion", max_tokens=cap)
        if counts:
            profile.step = self._counting(profile.step)
        self.generation = TextGeneration(profile, answers, choice, asked, words)

    @staticmethod
    def _counting(step: Any) -> Any:
        def counted(outputs: Any) -> Any:
            made = step(outputs)
            made.completion_tokens = 3
            return made

        return counted

    def hear(self, *texts: str, final: bool = False) -> None:
        for at, text in enumerate(texts):
            message = pb.ModelStreamInferResponse()
            last = final and at == len(texts) - 1
            message.infer_response.parameters["triton_final_response"].bool_param = last
            message.infer_response.outputs.add(name="ANSWER", datatype="BYTES", shape=[1])
            message.infer_response.raw_output_contents.append(len(text).to_bytes(4, "little") + text.encode())
            self.generation.hear(message.SerializeToString())

    @property
    def choice(self) -> tuple[str, str]:
        """What was said, and why it ended."""
        call = Call("c", "completion", {}, "m", stream=False, show_usage=False, deadline=0.0)
        written: Any = msgspec.json.decode(Envelope(call, 1).document([self._document], Usage(0, 0)))
        (choice,) = written["choices"]
        return choice["text"], choice["finish_reason"]


def test_a_text_ends_in_the_piece_that_fills_the_cap() -> None:
    told = Told()
    told.hear("The quick", " brown")
    assert not told.generation.done
    told.hear(" fox")
    assert told.generation.stopped
    assert told.choice == ("The quick brown fox", "length")
    assert (told.generation.completion, told.generation.counted) == (CAP, False)


@pytest.mark.parametrize("final", [True, False])
def test_a_text_in_one_piece_is_cut(final: bool) -> None:
    told = Told()
    told.hear("The quick brown fox jumps", final=final)
    assert told.choice == ("The quick brown fox ", "length")
    assert told.generation.stopped is not final
    assert told.generation.completion == CAP


def test_a_text_that_fits_ends_by_itself() -> None:
    told = Told()
    told.hear("The quick", " brown", final=True)
    assert told.choice == ("The quick brown", "stop")
    assert (told.generation.completion, told.generation.counted) == (3, True)


@pytest.mark.parametrize("cap", [100_000, 9_000])
def test_of_a_long_text_in_one_piece_the_beginning_tells_how_many_tokens_it_has(cap: int) -> None:
    told = Told(cap=cap, capped=True)
    told.hear("word " * 10_000, final=True)
    assert told.generation.completion == pytest.approx(min(10_000, cap), rel=0.01)
    assert told.generation.counted is (cap == 100_000)
    assert told.choice[1] == ("stop" if cap == 100_000 else "length")


def test_the_server_s_own_count_is_believed() -> None:
    told = Told(counts=True)
    told.hear("One", "two three four")
    assert told.choice == ("Onetwo ", "length")
    assert (told.generation.completion, told.generation.counted) == (CAP, False)


def test_a_stop_string_before_the_cut_is_the_reason() -> None:
    told = Told(stops=("brown",))
    told.hear("The quick brown fox jumps")
    assert told.choice == ("The quick ", "stop")
