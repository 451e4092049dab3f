"""From token ids to text, as bytes that may end within a character: one part of the legacy ensemble."""

from __future__ import annotations

from typing import Any

from loadtests.triton.models.stub import backend
from loadtests.triton.models.vocabulary import text_of


class TritonPythonModel:
    """Answers each request of a batch by itself; each beam's ids become one text."""

    def execute(self, requests: list[Any]) -> list[Any]:
        return [_answer(request) for request in requests]


def _answer(request: Any) -> Any:
    import numpy as np

    pb = backend()
    ids, lengths = (
        pb.get_input_tensor_by_name(request, name).as_numpy() for name in ("TOKENS_BATCH", "SEQUENCE_LENGTH")
    )
    beams = zip(ids.reshape(-1, ids.shape[-1]), lengths.reshape(-1), strict=True)
    texts = [[text_of(beam[:length].tolist()) for beam, length in beams]]
    return pb.InferenceResponse([pb.Tensor("OUTPUT", np.array(texts, np.object_))])
