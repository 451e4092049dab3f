"""Questions in the tensors of each contract, and what the scripted models say to them."""

from __future__ import annotations

from tests.support.triton import Response, Tensor, batched, flags, ints, texts

FIRST_FOUR = ["The", " quick", " brown", " fox"]


def llmapi(prompt: str, tokens: int = 4, **more: Tensor) -> dict[str, Tensor]:
    return {
        "text_input": texts(prompt),
        "streaming": flags(True),
        "sampling_param_max_tokens": ints(tokens),
        "sampling_param_exclude_input_from_output": flags(True),
        **more,
    }


def legacy(prompt: str, tokens: int = 4, **more: Tensor) -> dict[str, Tensor]:
    return batched({"text_input": texts(prompt), "max_tokens": ints(tokens), "stream": flags(True), **more})


def question(model: str, prompt: str, tokens: int = 4) -> dict[str, Tensor]:
    if model == "generic":
        return {"PROMPT": texts(prompt), "LENGTH": ints(tokens)}
    return (llmapi if model == "llmapi" else legacy)(prompt, tokens)


def said(responses: list[Response], name: str = "text_output") -> list[str]:
    return [one.text(name) for one in responses if name in one.outputs]
