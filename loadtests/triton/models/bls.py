"""The ensemble's contract in one blocking Python model that calls the three others: deltas, or all text so far."""

from __future__ import annotations

import json
import traceback
from collections.abc import Iterator
from typing import Any

from loadtests.triton.journal import Outcome
from loadtests.triton.models.asked import Asked
from loadtests.triton.models.notes import Notes
from loadtests.triton.models.stub import backend

_RENAMED = {"stream": "streaming", "top_k": "runtime_top_k", "top_p": "runtime_top_p", "length_penalty": "len_penalty"}
_WORDS = {"stop_words": "STOP_WORDS_DICT", "bad_words": "BAD_WORDS_DICT"}
_FROM_PREPROCESSING = {
    "INPUT_ID": "input_ids",
    "REQUEST_INPUT_LEN": "input_lengths",
    "REQUEST_OUTPUT_LEN": "request_output_len",
    "STOP_WORDS_IDS": "stop_words_list",
    "BAD_WORDS_IDS": "bad_words_list",
}
_OURS = {"text_input", "max_tokens", *_WORDS}
_PASSED = ("num_input_tokens", "num_output_tokens", "sequence_index", "output_log_probs", "cum_log_probs")


class TritonPythonModel:
    """One request at a time and instance; never looks whether it was cancelled."""

    def initialize(self, args: dict[str, str]) -> None:
        self._notes = Notes(args["model_name"])
        parameters = json.loads(args["model_config"])["parameters"]
        self._accumulate = parameters["accumulate_tokens"]["string_value"] == "true"

    def execute(self, requests: list[Any]) -> None:
        pb = backend()
        for request in requests:
            sender = request.get_response_sender()
            asked = Asked(request)
            note = self._notes.begin(asked)
            tokens = 0
            outcome: Outcome = "finished"
            try:
                for response in self._responses(asked):
                    sender.send(response)
                    tokens += 1
            except Exception:  # noqa: BLE001 - the real one sends whatever it is, with all its lines
                outcome = "failed"
                sender.send(pb.InferenceResponse(error=pb.TritonError(traceback.format_exc())))
            sender.send(flags=pb.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
            note.end(outcome, tokens)

    def _responses(self, asked: Asked) -> Iterator[Any]:
        import numpy as np

        pb = backend()
        ids: dict[int, Any] = {}
        for found in _generated(asked):
            index = int(found["sequence_index"].reshape(-1)[0]) if "sequence_index" in found else 0
            new = found["output_ids"]
            if self._accumulate and index in ids:
                new = np.concatenate([ids[index], new], axis=-1)
            ids[index] = new
            lengths = np.array([[new.shape[-1]]], np.int32)
            text = _one("postprocessing", {"TOKENS_BATCH": new, "SEQUENCE_LENGTH": lengths}, ["OUTPUT"])["OUTPUT"]
            outputs = {name: found[name] for name in _PASSED if name in found} | {"text_output": text}
            yield pb.InferenceResponse([pb.Tensor(name, array) for name, array in outputs.items()])


def _generated(asked: Asked) -> Iterator[dict[str, Any]]:
    """The outputs of each response of the engine."""
    words = {_WORDS[name]: array for name, array in asked.tensors.items() if name in _WORDS}
    query = {"QUERY": asked.tensors["text_input"], "REQUEST_OUTPUT_LEN": asked.tensors["max_tokens"], **words}
    prepared = _one("preprocessing", query, list(_FROM_PREPROCESSING))
    inputs = {_FROM_PREPROCESSING[name]: array for name, array in prepared.items()}
    inputs |= {_RENAMED.get(name, name): array for name, array in asked.tensors.items() if name not in _OURS}
    yield from _asked_of("tensorrt_llm", inputs, ["output_ids", "sequence_length", *_PASSED], decoupled=True)


def _one(model: str, inputs: dict[str, Any], outputs: list[str]) -> dict[str, Any]:
    return next(_asked_of(model, inputs, outputs, decoupled=False))


def _asked_of(model: str, inputs: dict[str, Any], outputs: list[str], *, decoupled: bool) -> Iterator[dict[str, Any]]:
    """The outputs of each response of another model; raises its error."""
    pb = backend()
    tensors = [pb.Tensor(name, array) for name, array in inputs.items()]
    request = pb.InferenceRequest(model_name=model, requested_output_names=outputs, inputs=tensors)
    for response in request.exec(decoupled=True) if decoupled else [request.exec()]:
        if response.has_error():
            raise pb.TritonModelException(response.error().message())
        if not (found := response.output_tensors()):  # what Triton 2.51 makes of an error that comes after a token
            raise pb.TritonModelException(f"{model} failed")
        yield {tensor.name(): tensor.as_numpy() for tensor in found}
