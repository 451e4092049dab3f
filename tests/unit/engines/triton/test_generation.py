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
from engines.text.stops import Stops
from engines.triton.generation import TextGeneration
from engines.triton.inference import Answers, Memo
from engines.triton.profiles import PROFILES
from engines.triton.profiles.api import TensorMap
from tests.support.golden_table import facts

CAP = 4


class Told:
    """A generation of up to four words by a model that takes no cap; `counts`: the model says it made three a time."""

    def __init__(self, *, counts: bool = False, stops: tuple[str, ...] = ()) -> None:
        self._document = Document(0)
        names = TensorMap(text_input="PROMPT", text_output="ANSWER")
        profile: Any = PROFILES["generic"](facts("generic"), None, names)
        assert not profile.capped
        self._counts = counts
        answers = Answers(profile.expected, Memo())
        choice = Choice(self._document, stops=Stops(stops) if stops else None)
        asked = Asked(kind="completion", max_tokens=CAP)
        if counts:
            profile.step = self._counting(profile.step)
        self.generation = TextGeneration(profile, answers, choice, asked, lambda text: len(text.split()))

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


def test_the_server_s_own_count_is_believed() -> None:
    told = Told(counts=True)
    told.hear("One", "two three four")
    assert told.choice == ("Onetwo ", "length")
    assert (told.generation.completion, told.generation.counted) == (CAP, False)


def test_a_stop_string_before_the_cut_is_the_reason() -> None:
    told = Told(stops=("brown",))
    told.hear("The quick brown fox jumps")
    assert told.choice == ("The quick ", "stop")
