"""From a text to token ids, and from lists of words to theirs: one part of the legacy ensemble."""

from __future__ import annotations

from typing import Any

from loadtests.triton.models.asked import Asked
from loadtests.triton.models.batched import Batched
from loadtests.triton.models.stub import backend
from loadtests.triton.models.vocabulary import ids_of, word_list


class TritonPythonModel(Batched):
    """Answers each request of a batch by itself."""

    def answer(self, asked: Asked) -> Any:
        import numpy as np

        pb = backend()
        ids = ids_of(asked.one("QUERY"))
        arrays = {
            "INPUT_ID": np.array([ids], np.int32),
            "REQUEST_INPUT_LEN": np.array([[len(ids)]], np.int32),
            "DECODER_INPUT_ID": np.array([ids_of(asked.one("DECODER_QUERY", b""))], np.int32),
            "REQUEST_DECODER_INPUT_LEN": np.array([[len(asked.one("DECODER_QUERY", b""))]], np.int32),
            "REQUEST_OUTPUT_LEN": np.array([[asked.one("REQUEST_OUTPUT_LEN")]], np.int32),
            "STOP_WORDS_IDS": np.array([word_list(asked.many("STOP_WORDS_DICT"))], np.int32),
            "BAD_WORDS_IDS": np.array([word_list(asked.many("BAD_WORDS_DICT"))], np.int32),
            "EMBEDDING_BIAS": np.zeros([1, 0], np.float32),
            "OUT_END_ID": np.array([[asked.one("END_ID", 0)]], np.int32),
            "OUT_PAD_ID": np.array([[asked.one("PAD_ID", 0)]], np.int32),
            "OUT_PROMPT_TABLE_EXTRA_IDS": np.array([asked.many("PROMPT_TABLE_EXTRA_ID")], np.uint64),
        }
        wanted = set(asked.request.requested_output_names())
        return pb.InferenceResponse([pb.Tensor(name, array) for name, array in arrays.items() if name in wanted])
