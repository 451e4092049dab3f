"""How many tokens TensorRT-LLM may choose from, and the other parameters in ranges that all of its versions take.

TensorRT-LLM checks some ranges with assertions that cost the request a traceback, and some not at all, so what is sent
stays within the narrower ranges of its two backends. Nothing asked for is left out silently.
"""

from __future__ import annotations

from collections.abc import Sequence

from engines.text.asked import Asked

Value = str | bool | int | float

GREEDY = 1e-5
"""A temperature or `top_p` below this leaves one token to choose from, and divides by next to nothing in FP32."""

LEAST_REPETITION = 0.01
"""A smaller `repetition_penalty` overflows FP32 scores; 0, which it may round to, is an error in the server."""


def is_greedy(asked: Asked) -> bool:
    """Whether TensorRT-LLM takes the likeliest token each time: it does, too, where nothing is said about it."""
    said = (asked.temperature, asked.top_p, asked.top_k)
    return said == (None, None, None) or asked.top_k == 1 or any(map(_is_near_zero, said[:2]))


def settled(asked: Asked, *, has_top_k: bool) -> dict[str, Sequence[Value]]:
    """The parameters that are set, with values that servers take."""
    out = _spread(asked, has_top_k=has_top_k)
    out["max_tokens"] = (asked.max_tokens,)
    for parameter in _AS_THEY_ARE:
        if (value := getattr(asked, parameter)) is not None:
            out[parameter] = (value,)
    if asked.min_tokens is not None:
        out["min_tokens"] = (min(asked.min_tokens, asked.max_tokens),)  # the cap may have been lowered since
    if asked.logprobs:
        out["logprobs"] = (True,)
    if asked.bad_words:
        out["bad_words"] = asked.bad_words
    if asked.stops:
        out["stops"] = asked.stops
    return out


def _spread(asked: Asked, *, has_top_k: bool) -> dict[str, Sequence[Value]]:
    """How many tokens there are to choose from.

    The likeliest only, asked for by a temperature or `top_p` of 0, is `top_k` 1 and nothing else: TensorRT-LLM refuses
    a `top_p` of 0, and some of its versions divide by the temperature. Without that input it is what was asked for,
    though never a `top_p` of 0. A temperature alone would be for nothing: the C++ backend heeds none without `top_p`
    or `top_k`.
    """
    temperature, top_p, top_k = asked.temperature, asked.top_p, asked.top_k
    cold = _is_near_zero(temperature)
    if cold or _is_near_zero(top_p):
        return {"top_k": (1,)} if has_top_k else {"temperature": (0.0,)} if cold else {"top_p": (GREEDY,)}
    out: dict[str, Sequence[Value]] = {}
    if temperature is not None:
        out["temperature"] = (temperature,)
        if top_p is None and top_k is None:
            top_p = 1.0
    if top_p is not None:
        out["top_p"] = (top_p,)
    if top_k is not None:
        out["top_k"] = (top_k,)
    return out


_AS_THEY_ARE = ("min_p", "repetition_penalty", "presence_penalty", "frequency_penalty", "seed", "best_of")


def _is_near_zero(value: float | None) -> bool:
    return value is not None and value < GREEDY
