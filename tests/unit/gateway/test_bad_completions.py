"""P14, P25: mistakes in completions and embeddings are told as those in chats are."""

from __future__ import annotations

import pytest

from tests.support.bodies import SECRET, completion, embedding, refusal

COMPLETION: list[tuple[bytes, str, str]] = [
    (b'{"model":"m"}', "prompt", "missing_required_parameter"),
    (completion(prompt=None), "prompt", "invalid_type"),
    (completion(prompt=5), "prompt", "invalid_type"),
    (completion(prompt=""), "prompt", "empty_string"),
    (completion(prompt=[]), "prompt", "empty_array"),
    (completion(prompt=[SECRET, ""]), "prompt[1]", "empty_string"),
    (completion(prompt=[[]]), "prompt[0]", "empty_array"),
    (completion(prompt=[1, -1]), "prompt[1]", "integer_below_min_value"),
    (completion(prompt=[[1, 2**31]]), "prompt[0][1]", "integer_above_max_value"),
    (completion(prompt=[1, SECRET]), "prompt[1]", "invalid_type"),
    (completion(prompt=[[1], 1]), "prompt[1]", "invalid_type"),
    (completion(prompt=[[[1]]]), "prompt[0][0]", "invalid_type"),
    (completion(prompt=[1.5]), "prompt[0]", "invalid_type"),
    (completion(prompt=[SECRET] * 2049), "prompt", "array_above_max_length"),
    (completion(best_of=2, n=3), "best_of", "invalid_value"),
    (completion(best_of=2, stream=True), "best_of", "invalid_value"),
    (completion(best_of=129), "best_of", "integer_above_max_value"),
    (completion(max_tokens=-1), "max_tokens", "integer_below_min_value"),
    (completion(logprobs=True), "logprobs", "invalid_type"),
    (completion(logprobs=21), "logprobs", "integer_above_max_value"),
    (completion(echo=SECRET), "echo", "invalid_type"),
    (completion(suffix=5), "suffix", "invalid_type"),
    (completion(temperature=3), "temperature", "decimal_above_max_value"),
    (completion(stream_options={}), "stream_options", "invalid_value"),
]


@pytest.mark.parametrize(("body", "param", "code"), COMPLETION, ids=[f"{n} {c[1]}" for n, c in enumerate(COMPLETION)])
def test_a_mistake_in_a_completion_is_told_with_its_path(body: bytes, param: str, code: str) -> None:
    told = refusal("completion", body)
    assert (told.param, told.code) == (param, code)


EMBEDDING: list[tuple[bytes, str, str]] = [
    (b'{"input":"x"}', "model", "missing_required_parameter"),
    (b'{"model":"m"}', "input", "missing_required_parameter"),
    (embedding(model="\t"), "model", "invalid_value"),
    (embedding(input=""), "input", "empty_string"),
    (embedding(input=[]), "input", "empty_array"),
    (embedding(input={"text": SECRET}), "input", "invalid_type"),
    (embedding(input=[None]), "input[0]", "invalid_type"),
    (embedding(input=[SECRET, [1]]), "input[1]", "invalid_type"),
    (embedding(input=[[1]] * 2049), "input", "array_above_max_length"),
    (embedding(encoding_format=SECRET), "encoding_format", "invalid_value"),
    (embedding(dimensions=0), "dimensions", "integer_below_min_value"),
    (embedding(user=[]), "user", "invalid_type"),
]


@pytest.mark.parametrize(("body", "param", "code"), EMBEDDING, ids=[f"{n} {c[1]}" for n, c in enumerate(EMBEDDING)])
def test_a_mistake_in_an_embedding_is_told_with_its_path(body: bytes, param: str, code: str) -> None:
    told = refusal("embedding", body)
    assert (told.param, told.code) == (param, code)
