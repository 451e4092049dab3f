"""Real tokens come through a real Triton, and a cancelled generation ends inside it."""

from __future__ import annotations

from loadtests.triton import TritonServer
from tests.support.triton import Tensor, ended, flags, floats, ints, raw_triton, texts

PROMPT = "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n"


def asked(prompt: str, tokens: int) -> dict[str, Tensor]:
    return {
        "text_input": texts(prompt),
        "streaming": flags(True),
        "sampling_param_max_tokens": ints(tokens),
        "sampling_param_temperature": floats(0),
        "sampling_param_exclude_input_from_output": flags(True),
        "return_finish_reason": flags(True),
    }


async def test_it_knows_the_capital_of_france(triton: TritonServer) -> None:
    triton.need("smollm2")
    async with raw_triton(triton) as client:
        *tokens, _ = await client.all("smollm2", asked(PROMPT, 30))
    assert len(tokens) > 5
    assert "Paris" in tokens[-1].text()
    assert tokens[-1].text().startswith(tokens[1].text())
    assert tokens[-1].text("finish_reason") == "stop"


async def test_a_cancelled_generation_ends(triton: TritonServer) -> None:
    triton.need("smollm2")
    async with raw_triton(triton) as client:
        call = client.open("smollm2", asked("Once upon a time", 1000), "story")
        for _ in range(5):
            await call.read()
        call.cancel()
        end = await ended(triton, request_id="story")
    assert end.outcome == "cancelled"
    assert end.tokens < 200
