"""Costs are exact: no price and no count of tokens loses anything but the half of a millionth."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.pricing import MICRO, PER, Price, PriceList, decimal, millionths

PRICES = st.integers(0, 10_000 * MICRO)
TOKENS = st.integers(0, 10**9)


@given(PRICES, PRICES, TOKENS, TOKENS)
def test_a_cost_is_what_decimals_make_of_it(prompt: int, completion: int, asked: int, said: int) -> None:
    with localcontext(prec=60):
        exact = (Decimal(prompt) * asked + Decimal(completion) * said) / MICRO
        expected = int(exact.to_integral_value(ROUND_HALF_EVEN))
    assert Price("chat", 0, prompt, completion).cost(asked, said) == expected


@given(PRICES, st.integers(0, 10**12))
def test_so_many_tokens_are_bought_as_the_money_pays_for(completion: int, money: int) -> None:
    prices = PriceList([Price("chat", 0, 7, completion)])
    tokens = prices.buys("chat", 0, money)
    if tokens is None:
        assert completion == 0
        return
    assert completion * tokens <= money * PER < completion * (tokens + 1)
    assert prices.buys("other", 0, money) is prices.buys("chat", -1, money) is None


@pytest.mark.parametrize(("prompt", "cost"), [(499_999, 0), (500_000, 0), (500_001, 1), (1_500_000, 2), (2_500_000, 2)])
def test_a_half_goes_to_the_even_one_and_prompt_and_answer_are_rounded_together(prompt: int, cost: int) -> None:
    assert Price("chat", 0, prompt, 0).cost(1, 0) == cost
    assert Price("chat", 0, prompt - 1, 1).cost(1, 1) == cost


@given(st.lists(st.tuples(st.integers(0, 50), PRICES), unique_by=lambda it: it[0]), st.integers(-1, 60))
def test_the_price_is_the_last_that_began_before(history: list[tuple[int, int]], at: int) -> None:
    prices = PriceList([Price("chat", since, price, 0) for since, price in history])
    begun = [price for since, price in sorted(history) if since <= at]
    assert prices.cost("chat", at, MICRO, 0) == (begun[-1] if begun else 0)
    assert prices.cost("other", at, MICRO, 0) == 0


@given(st.integers(0, 1 << 63))
def test_as_a_decimal_nothing_is_lost(cost: int) -> None:
    with localcontext(prec=60):
        assert Decimal(decimal(cost)) * MICRO == cost
    assert millionths(decimal(cost)) == cost
