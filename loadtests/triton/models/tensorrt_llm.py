"""The contract of TensorRT-LLM's C++ backend over a scripted text: token ids, deltas, `stop`, engine gauges."""

from __future__ import annotations

from typing import Any

from loadtests.triton.models.decoupled import Answer, Decoupled, Refused, breaks
from loadtests.triton.models.gauges import Gauges
from loadtests.triton.models.pace import FOREVER, Steps
from loadtests.triton.models.script import Script, script_in, until_stop
from loadtests.triton.models.vocabulary import ids_of_piece, text_of, words_in

_REQUIRED = {"output_ids", "sequence_length"}


class TritonPythonModel(Decoupled):
    """Counts per response; says no reason why an answer ended; the last token's response is the final one."""

    parting = 0  # who leaves is a client of the models that call this one

    def prepare(self) -> None:
        self._gauges = Gauges(self.name)

    def answer(self, answer: Answer) -> Steps:
        asked = answer.asked
        if asked.one("stop"):
            if not asked.id:
                raise Refused("a request that stops another one needs its id")
            self.stop(asked.id)
            answer.end()
            return
        if _REQUIRED - set(asked.request.requested_output_names()):
            raise Refused("output_ids and sequence_length must be among the requested outputs")
        self._gauges.add(1)
        try:
            yield from self._generate(answer)
        finally:
            self._gauges.add(-1)

    def cancelled(self, answer: Answer) -> None:
        if answer.stopped:
            answer.send(_outputs(answer, b"", 0), final=True)
        else:
            answer.drop("Request cancelled")

    def _generate(self, answer: Answer) -> Steps:
        asked = answer.asked
        try:
            script = script_in(text_of(asked.many("input_ids")))
            pieces = script.pieces(asked.one("request_output_len"), _words(answer, "bad_words_list"))
            yield from self._say(answer, script, _until(pieces, _words(answer, "stop_words_list")))
        except Refused as error:
            number = f"requestId {id(answer)}"
            raise Refused(f"Executor failed process {number} due to the following error: {error}") from error

    def _say(self, answer: Answer, script: Script, pieces: list[bytes]) -> Steps:
        streaming = answer.asked.one("streaming")
        sequences = answer.asked.one("num_return_sequences", 1)
        for at, piece in enumerate(pieces):
            yield script.pause(at)
            yield from breaks(script, at)
            answer.tokens += 1
            last = at == len(pieces) - 1 and script.fault != "no_final"
            for index in range(sequences if streaming else 0):
                lie = script.fault if at == script.after else ""
                outputs = _outputs(answer, piece, index, lie)
                answer.send(outputs, final=last and index == sequences - 1)
        yield from breaks(script, len(pieces))
        if script.fault == "no_final":
            yield FOREVER
        for index in range(0 if streaming and pieces else sequences):
            whole = _outputs(answer, b"".join(pieces), index, script.fault)
            answer.send(whole, final=index == sequences - 1)


def _words(answer: Answer, name: str) -> list[bytes]:
    flat = answer.asked.many(name)
    return words_in(flat[: len(flat) // 2], flat[len(flat) // 2 :])


def _until(pieces: list[bytes], stops: list[bytes]) -> list[bytes]:
    """The pieces up to the one that completes a stop word, which stays in the answer."""
    for at in range(len(pieces)):
        if until_stop(b"".join(pieces[: at + 1]), stops):
            return pieces[: at + 1]
    return pieces


def _outputs(answer: Answer, text: bytes, index: int, lie: str = "") -> dict[str, Any]:
    """One response. What nobody asked for is not in it; counts are this response's own."""
    import numpy as np

    asked = answer.asked
    ids = ids_of_piece(text)
    streaming = asked.one("streaming")
    count = (1 if text else 0) if streaming else answer.tokens
    if not streaming and not asked.one("exclude_input_in_output"):
        ids = asked.many("input_ids") + ids
        count += len(asked.many("input_ids"))
    outputs = {
        "output_ids": np.array([[ids]], np.float32 if lie == "wrong_dtype" else np.int32),
        "sequence_length": np.array([[len(ids)]], np.int32),
    }
    if asked.one("return_num_input_tokens"):
        outputs["num_input_tokens"] = np.array([[len(asked.many("input_ids"))]], np.int32)
    if asked.one("return_num_output_tokens"):
        outputs["num_output_tokens"] = np.array([[count]], np.int32)
    if asked.one("num_return_sequences", 1) > 1:
        outputs["sequence_index"] = np.array([[index]], np.int32)
    if asked.one("return_log_probs"):
        outputs["output_log_probs"] = np.full([1, 1, max(len(ids), 1)], -0.5, np.float32)
        outputs["cum_log_probs"] = np.array([[-0.5 * answer.tokens]], np.float32)
    if asked.one("return_perf_metrics"):
        outputs["kv_cache_reused_blocks"] = np.array([[0]], np.int32)
        outputs["acceptance_rate"] = np.array([[0.0]], np.float32)
    return {name: array for name, array in outputs.items() if lie != "missing_output" or name != "output_ids"}
