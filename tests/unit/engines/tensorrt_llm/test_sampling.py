"""Every parameter of a request: what the golden table says is what the LLM is asked, or refused."""

from __future__ import annotations

import pytest

from engines.api import Rejected
from engines.generating.texts import texts
from engines.tensorrt_llm.sampling import Sampling, with_defaults
from engines.tensorrt_llm.wire import Adapter, Wanted
from engines.text.asked import read
from engines.text.prompts import Prompts
from tests.support import golden_sampling
from tests.support.golden_sampling import SEED, Row
from tests.support.golden_table import call
from tests.support.guide_tables import in_the_guide

ROWS = dict(golden_sampling.rows())


def wanted(row: Row, sampling: Sampling) -> list[Wanted]:
    asked = with_defaults(read(call(row.kind, **row.ask)))
    sampling.check(asked)
    prompts = asked.prompts or ["hi"]
    return [sampling.wanted(text.asked, text.prompt) for text in texts(asked, prompts, lambda: SEED)]


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_what_is_asked_becomes_what_the_table_says(row: Row) -> None:
    sampling = Sampling(guided=True)
    if row.refusal is not None:
        with pytest.raises(Rejected) as refused:
            wanted(row, sampling)
        assert (refused.value.param, refused.value.code) == row.refusal
        return
    for one in wanted(row, sampling):
        assert one.sampling == row.fields
        assert one.guide == row.guide
        assert one.adapter is None
        assert one.stream == ("best_of" not in row.fields)


@pytest.mark.parametrize(
    "row", [row for row in ROWS.values() if row.guide], ids=[n for n, r in ROWS.items() if r.guide]
)
def test_a_form_is_refused_where_nothing_can_hold_to_it(row: Row) -> None:
    with pytest.raises(Rejected) as refused:
        wanted(row, Sampling())
    assert refused.value.code == "unsupported_parameter"
    assert refused.value.param
    assert refused.value.param.split(".")[0] in row.ask


def test_an_adapter_is_the_operators_and_in_every_request() -> None:
    adapter = Adapter("tone", 7, "/adapters/tone")
    assert wanted(ROWS["`temperature`"], Sampling(adapter))[0].adapter == adapter


async def test_without_a_template_there_are_no_chats() -> None:
    with pytest.raises(Rejected):
        await Prompts(None, None).of(read(call("chat")))


def test_the_guide_holds_the_table() -> None:
    assert in_the_guide(golden_sampling.GUIDE) == golden_sampling.rendered(), (
        "docs/guides/tensorrt-llm.md is behind its table: run python -m tests.support.golden_sampling"
    )
