"""A text's vector: always the same for the same text, and of length one."""

from __future__ import annotations

import hashlib
import time
from typing import Any

from loadtests.triton.models.asked import Asked
from loadtests.triton.models.batched import Batched
from loadtests.triton.models.script import script_in
from loadtests.triton.models.stub import backend

DIMENSIONS = 16


class TritonPythonModel(Batched):
    """`text` in, `embedding` out; Triton puts several requests into one batch."""

    def answer(self, asked: Asked) -> Any:
        import numpy as np

        pb = backend()
        texts = asked.many("text")
        script = script_in(b" ".join(texts))
        time.sleep(script.ttft_ms / 1000)
        if script.fault == "error":
            return pb.InferenceResponse(error=pb.TritonError("the engine died", pb.TritonError.INTERNAL))
        vectors = np.array([_vector(text) for text in texts], np.float32)
        if script.fault == "wrong_dtype":
            vectors = vectors.astype(np.int32)
        tensors = [] if script.fault == "missing_output" else [pb.Tensor("embedding", vectors)]
        return pb.InferenceResponse(tensors)


def _vector(text: bytes) -> Any:
    import numpy as np

    drawn = np.frombuffer(hashlib.shake_128(text).digest(4 * DIMENSIONS), np.int32).astype(np.float64)
    return drawn / np.linalg.norm(drawn)
