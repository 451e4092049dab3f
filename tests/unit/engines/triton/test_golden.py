"""Every parameter of a request at every kind of model: what the golden table says is what is sent, or refused."""

from __future__ import annotations

import pytest

from engines.api import Rejected
from engines.text.asked import read
from engines.triton.profiles import detect
from engines.triton.tensors import Tensor
from tests.support import golden_table
from tests.support.golden_table import Case, call, facts, profile
from tests.support.guide_tables import in_the_guide

CASES = dict(golden_table.cases())


def sent(case: Case) -> dict[str, Tensor]:
    model = profile(case.model)
    asked = read(call(case.kind, **case.ask))
    model.check(asked)
    tensors = golden_table.sent(model, asked)
    named = {tensor.name: tensor for tensor in tensors}
    assert len(named) == len(tensors)
    return named


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_what_is_asked_becomes_what_the_table_says(case: Case) -> None:
    if case.refusal is None:
        assert sent(case) == case.tensors
        return
    with pytest.raises(Rejected) as refused:
        sent(case)
    assert (refused.value.param, refused.value.code) == case.refusal


@pytest.mark.parametrize("model", golden_table.COLUMNS)
def test_a_model_of_each_kind_is_known_by_its_config(model: str) -> None:
    assert detect(facts(model)) == model


def test_the_guide_holds_the_table() -> None:
    assert in_the_guide(golden_table.GUIDE) == golden_table.rendered(), (
        "docs/guides/triton.md is behind tests/golden/triton.yaml: run python -m tests.support.golden_table"
    )
