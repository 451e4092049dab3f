"""Reasoning and content are the same, however the answer is cut."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import example, given
from hypothesis import strategies as st

from engines.text.reasoning import Reasoning
from tests.properties.chunking import cut, places

PIECES = ["<think>", "</think>", "<thi", "</", "nk>", " ", "\n", "a", "<"]
ANSWERS = st.text() | st.lists(st.sampled_from(PIECES)).map("".join)


def oracle(text: str, *, opened: bool) -> tuple[str, str]:
    start = text.lstrip()
    if not start.startswith("<think>") and not opened:
        return "", text
    thought, _, content = start.removeprefix("<think>").partition("</think>")
    return thought.strip(), content.lstrip()


@given(ANSWERS, places, st.booleans())
@example("\n<think>\n a \n</think>\n\nb\n", list(range(30)), False)
@example(" <", range(3), True)
def test_whatever_the_chunks(text: str, where: Sequence[int], opened: bool) -> None:
    machine = Reasoning(opened=opened)
    told = [*(machine.feed(piece) for piece in cut(text, where)), machine.flush()]
    assert ("".join(reasoning for reasoning, _ in told), "".join(content for _, content in told)) == oracle(
        text, opened=opened
    )
