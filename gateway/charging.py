"""Which tokens of a request are paid for, and what they cost: in the ledger and of budgets the same."""

from __future__ import annotations

from typing import Final

from gateway.accounts import Record
from gateway.pricing import PriceList

MOST: Final = 1_000_000_000
"""Tokens that a model server can say one request took: sums of what it says must fit a database's integers."""


def paid(record: Record) -> tuple[int, int]:
    """Tokens of prompt and answer, once the record says how it ended."""
    # Nobody has told what a prompt took whose answer was broken off, or not waited for: it was read all the same.
    read = record.first_at or (record.client_gone and record.attempts)
    prompt = record.prompt_tokens or (record.prompt if read else 0)
    completion = record.completion_tokens
    if record.whole and record.first_at and not (record.prompt_tokens or completion):
        completion = record.tokens - record.prompt  # a text in one piece, which nobody has counted: as was expected
    return min(prompt, MOST), min(completion, MOST)


def priced_as(label: str) -> str:
    """The model whose price a version has, by its label: its adapters cost the same."""
    return label.partition("@")[0]


def priced(record: Record, prices: PriceList, prompt: int, completion: int) -> int:
    """Millionths: by the model that answered, at the price that held when the request came in."""
    return prices.cost(priced_as(record.version), record.unix_ms // 1000, prompt, completion)
