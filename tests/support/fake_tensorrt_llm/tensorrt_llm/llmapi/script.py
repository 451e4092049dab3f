r"""What is generated, and what goes wrong on the way: by orders in the prompt, `@@name=value@@`.

say=TEXT        generate that and end; else words without end
tokenise=SECONDS  take so long to make tokens of the prompt
crash=COUNT     end the process after so many tokens
cuda=COUNT      fail after so many tokens, and never work again
fail=COUNT      fail after so many tokens, this request alone
stall=COUNT     say nothing more after so many tokens
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import count
from typing import Any

from .sampling import SamplingParams

ORDER = re.compile(r"@@(\w+)=(.*?)@@", re.DOTALL)
WORDS = (
    "The",
    " avalanche",
    " passes",
    " above",
    " the",
    " road",
    " \U0001f3d4",
    ",",
    " and",
    " tr\xe4gt",
    " \u96ea",
    ".\n",
)
PIECE = re.compile(r"\s*[^\W\d_]+|.", re.DOTALL)


def orders(prompt: str) -> dict[str, str]:
    return dict(ORDER.findall(prompt))


def pieces(prompt: str, params: SamplingParams) -> Iterator[bytes]:
    """The tokens, as bytes: characters beyond ASCII come in parts."""
    said = orders(prompt).get("say")
    if params.guided_decoding is not None and said is None:
        said = _guided(params.guided_decoding.json)
    if said is not None:
        yield from parts(said)
        return
    start = 0 if params.greedy else (params.seed or 0) % len(WORDS)
    for at in count(start):
        yield from parts(WORDS[at % len(WORDS)])


def parts(text: str) -> Iterator[bytes]:
    """The pieces of a text that are a token each."""
    for piece in PIECE.findall(text):
        encoded = piece.encode()
        if encoded.isascii():
            yield encoded
        else:
            yield encoded[:-1]
            yield encoded[-1:]


def _guided(schema: str | dict[str, Any] | None) -> str:
    """A call where a call is forced, else any object."""
    told = json.loads(schema) if isinstance(schema, str) else schema or {}
    name = told.get("properties", {}).get("name", {}).get("enum", [""])[0]
    return json.dumps({"name": name, "parameters": {}} if name else {"answer": 42})
