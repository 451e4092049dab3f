"""Vectors as OpenAI's clients ask for them, written one by one as they come."""

from __future__ import annotations

from array import array
from base64 import b64decode
from typing import Any

import msgspec
import pytest
from tritonclient.grpc import service_pb2 as pb

from engines.api import Failed, Usage
from engines.triton.embedding import Embedding, embeddings
from engines.triton.inference import Answers, Memo
from engines.triton.profiles import PROFILES
from engines.triton.profiles.api import ModelFacts, TensorMap
from engines.triton.tensors import Declared

FACTS = ModelFacts("m", inputs={"text": Declared("BYTES")}, outputs={"vector": Declared("FP32", (2,))})
PROFILE = PROFILES["generic"](FACTS, None, TensorMap(text_input="text", embedding="vector"))


def answer(*numbers: float, final: bool = True) -> bytes:
    message = pb.ModelStreamInferResponse()
    message.infer_response.parameters["triton_final_response"].bool_param = final
    if numbers:
        message.infer_response.outputs.add(name="vector", datatype="FP32", shape=[len(numbers)])
        message.infer_response.raw_output_contents.append(array("f", numbers).tobytes())
    encoded: bytes = message.SerializeToString()
    return encoded


def embedding(*, base64: bool = False) -> Embedding:
    return Embedding(PROFILE, Answers(PROFILE.expected, Memo()), base64=base64)


@pytest.mark.parametrize("base64", [False, True])
def test_vectors_are_told_in_order(base64: bool) -> None:
    made = [embedding(base64=base64) for _ in range(3)]
    for at in (2, 0, 1):
        assert made[at].hear(answer(at, 0.5)) == b""
        assert made[at].done
    document: Any = msgspec.json.decode(embeddings(made, "name", Usage(7, 0)))
    assert (document["object"], document["model"]) == ("list", "name")
    assert document["usage"] == {"prompt_tokens": 7, "total_tokens": 7}
    assert [(one["object"], one["index"]) for one in document["data"]] == [("embedding", at) for at in range(3)]
    told = [one["embedding"] for one in document["data"]]
    assert [array("f", b64decode(one)).tolist() if base64 else one for one in told] == [[at, 0.5] for at in range(3)]


def test_the_document_copies_what_was_written_as_it_came() -> None:
    made = embedding()
    made.hear(answer(1, 2))
    assert made.vector == msgspec.Raw(b"[1.0,2.0]")


@pytest.mark.parametrize("lie", [answer(), answer(1), answer(1, float("nan")), b"\xff"])
def test_what_is_no_vector_has_failed(lie: bytes) -> None:
    made = embedding()
    with pytest.raises(Failed):
        made.hear(lie)
    assert not made.done
