"""What refusals mean: by their words wherever they have telling ones, else by their code."""

from __future__ import annotations

from time import process_time

import pytest

from engines.api import EngineError, Failed, Overloaded, Rejected, TimedOut, Unreachable
from engines.generating.errors import refused, reported
from engines.grpc.api import Code, RpcError

SECRET = "/opt/tritonserver/models/secret.py"
TRACEBACK = f"""Traceback (most recent call last):
  File "{SECRET}", line 108, in execute
    raise ValueError("prompt is too long: invalid temperature")
  File "{SECRET}", line 12, in decode
    seed = must_be(request)
"""

WORDS: list[tuple[str, type[EngineError], str | None]] = [
    ("Exceeds maximum queue size", Overloaded, None),
    ("[request id: c-1] Request timeout expired", Overloaded, None),
    ("Maximum queue size reached, please try again later", Overloaded, None),
    ("Request for unknown model: 'm' has no available versions", Unreachable, None),
    ("Request for unknown model: 'm' version 1 is not at ready state, is not ready", Unreachable, None),
    ("Request for unknown model: 'm' is not found", Failed, None),
    ("Request for unknown model: 'm' version 2 is not found", Failed, None),
    ("Request cancelled by client", Failed, None),
    ("Error generating request: the engine died", Failed, None),
    ("Executor failed process requestId 7 due to the following error: CUDA error", Failed, None),
    (
        "Executor failed process requestId 7 due to the following error: Prompt length (900) exceeds maximum input 512",
        Rejected,
        "prompt",
    ),
    ("Error generating request: The sum of prompt length (90) and max_tokens exceeds max_seq_len", Rejected, "prompt"),
    ("Error generating request: prompt is too long", Rejected, "prompt"),
    ("Error generating request: invalid top_p: 1.5", Rejected, "top_p"),
    ("Invalid parameter value for temperature: -1", Rejected, "temperature"),
    ("[TensorRT-LLM][ERROR] Requested value: -0.5 for runtimeTopP is invalid", Rejected, "top_p"),
    ("repetition_penalty must be positive", Rejected, "repetition_penalty"),
    ("Failed to compile the grammar: bad rule", Rejected, "response_format"),
    ("guided_decoding_guide is invalid", Rejected, "response_format"),
    ("Failed to compile the grammar: " + "a rule of the caller's, " * 1000, Rejected, "response_format"),
    ("The engine died over a request with request_output_len 16", Failed, None),
    ("The engine died over a request with max_tokens 16 and stop_words", Failed, None),
    ("The engine died over a seed.\nThis must not happen.", Failed, None),
    ("unexpected inference input 'top_k' for model 'm'", Failed, None),
    ("unexpected shape for input 'max_tokens' for model 'm'. Expected [-1,1], got [1].", Failed, None),
    ("inference input 'seed' data-type is 'INT32', but model 'm' expects 'UINT64'", Failed, None),
    ("expected number of inputs between 2 and 9 but got 1 inputs for model 'm'", Failed, None),
    ("Streaming is only supported if model is deployed using decoupled mode.", Failed, None),
    ("LoRA task 7 not found in cache. Please send LoRA weights with request", Failed, None),
    ("Stub process 'm_0_0' is not healthy.", Unreachable, None),
    (TRACEBACK + "RuntimeError: the engine died", Failed, None),
    (TRACEBACK + "c_python_backend_utils.TritonModelException: Exceeds maximum queue size", Overloaded, None),
    ("", Failed, None),
]


@pytest.mark.parametrize(("text", "kind", "param"), WORDS, ids=[text[-40:] or "nothing" for text, *_ in WORDS])
def test_words_decide_whatever_the_code(text: str, kind: type[EngineError], param: str | None) -> None:
    found = [reported(text, "completion")]
    if text:
        found += [refused(RpcError(code, text), "completion", 9) for code in (Code.INTERNAL, Code.UNKNOWN)]
    for error in found:
        assert type(error) is kind
        assert getattr(error, "param", None) == param
        assert not isinstance(error, Rejected) or error.code
        assert SECRET not in error.message
        assert "CUDA" not in error.message


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (Code.UNAVAILABLE, Unreachable),
        (Code.NOT_FOUND, Failed),
        (Code.INVALID_ARGUMENT, Failed),
        (Code.UNIMPLEMENTED, Failed),
        (Code.CANCELLED, Failed),
        (Code.UNAUTHENTICATED, Failed),
        (Code.INTERNAL, Failed),
        (Code.RESOURCE_EXHAUSTED, Failed),
        (Code.DEADLINE_EXCEEDED, TimedOut),
    ],
)
def test_codes_decide_where_words_tell_nothing(code: Code, kind: type[EngineError]) -> None:
    error = refused(RpcError(code, "some words"), "chat", 9)
    assert type(error) is kind
    assert error.retry_safe
    assert "some words" not in error.message


BROKEN = ["the connection to the server broke", "Socket closed", "recvmsg:Connection reset by peer", "Broken pipe"]


@pytest.mark.parametrize("words", BROKEN)
def test_p14_a_connection_that_broke_is_a_death_and_a_server_that_says_so_is_none(words: str) -> None:
    """P14: who tells of a broken pipe of its own, or of a grammar's unexpected end, lives."""
    broke = refused(RpcError(Code.UNAVAILABLE, words), "chat", 9)
    assert type(broke) is Unreachable
    assert broke.died
    told = [reported(words, "chat"), refused(RpcError(Code.INTERNAL, words), "chat", 9)]
    assert [(type(error), error.died) for error in told] == [(Failed, False)] * 2


def test_p14_a_model_s_process_that_broke_down_is_a_death() -> None:
    assert reported("Stub process 'm_0_0' is not healthy.", "chat").died


def test_the_prompt_is_named_as_the_caller_knows_it() -> None:
    names = [reported("prompt is too long", kind) for kind in ("chat", "completion", "embedding")]
    assert [error.param for error in names if isinstance(error, Rejected)] == ["messages", "prompt", "input"]


def test_a_traceback_of_any_size_is_read_from_its_end() -> None:
    lines = "".join(f'  File "{SECRET}", line {at}, in f\n    invalid(temperature)\n' for at in range(10_000))
    text = f"Traceback (most recent call last):\n{lines}RuntimeError: it died"
    assert type(reported(text, "chat")) is Failed


@pytest.mark.parametrize("word", ["fail", "must ", "guide ", "invalid ", "seed ", "expected [", "lora ", "error", "\n"])
def test_words_of_a_caller_that_a_server_repeats_do_not_hold_up_the_loop(word: str) -> None:
    """A few milliseconds each; patterns that try again from every word needed up to 50 seconds."""
    began = process_time()
    assert isinstance(reported(word * 10_000, "chat"), EngineError)
    assert process_time() - began < 0.25
