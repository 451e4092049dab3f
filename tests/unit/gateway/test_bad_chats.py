"""Every mistake in a chat is told with the path of the member, in OpenAI's spelling, and without its value.

P14: what is out of range never gets past this point. P25: param and code are always there for the error's envelope.
"""

from __future__ import annotations

import pytest

from tests.support.bodies import SECRET, chat, message, part, refusal

CHAT: list[tuple[bytes, str, str]] = [
    (b"{}", "model", "missing_required_parameter"),
    (b'{"model":"m"}', "messages", "missing_required_parameter"),
    (chat(model=None), "model", "invalid_type"),
    (chat(model=5), "model", "invalid_type"),
    (chat(model=""), "model", "empty_string"),
    (chat(model=SECRET * 1112), "model", "string_above_max_length"),
    (chat(model=SECRET + "\n"), "model", "invalid_value"),
    (chat(model=SECRET + "\x00"), "model", "invalid_value"),
    (chat(model=SECRET + "\u202e"), "model", "invalid_value"),
    (chat(messages=[]), "messages", "empty_array"),
    (chat(messages=None), "messages", "invalid_type"),
    (chat(messages=SECRET), "messages", "invalid_type"),
    (chat(messages=[SECRET]), "messages[0]", "invalid_type"),
    (message(content=SECRET), "messages[1].role", "missing_required_parameter"),
    (message(role=SECRET, content="x"), "messages[1].role", "invalid_value"),
    (message(role=5, content="x"), "messages[1].role", "invalid_type"),
    (message(role="user"), "messages[1].content", "missing_required_parameter"),
    (message(role="user", content=None), "messages[1].content", "invalid_type"),
    (message(role="system", content=None), "messages[1].content", "invalid_type"),
    (message(role="developer", content={"text": SECRET}), "messages[1].content", "invalid_type"),
    (message(role="user", content=5), "messages[1].content", "invalid_type"),
    (message(role="user", content=[]), "messages[1].content", "empty_array"),
    (message(role="user", content="x", name=5), "messages[1].name", "invalid_type"),
    (message(role="assistant"), "messages[1].content", "missing_required_parameter"),
    (message(role="assistant", content=None, tool_calls=[]), "messages[1].content", "missing_required_parameter"),
    (message(role="assistant", tool_calls=[{"type": "function"}]), "messages[1].tool_calls[0].id",
     "missing_required_parameter"),
    (message(role="assistant", tool_calls=[{"id": "1"}]), "messages[1].tool_calls[0].function",
     "missing_required_parameter"),
    (message(role="assistant", tool_calls=[{"id": "1", "function": {"name": "f", "arguments": {"a": SECRET}}}]),
     "messages[1].tool_calls[0].function.arguments", "invalid_type"),
    (message(role="assistant", function_call={"name": "f"}), "messages[1].function_call.arguments",
     "missing_required_parameter"),
    (message(role="tool", content=SECRET), "messages[1].tool_call_id", "missing_required_parameter"),
    (message(role="tool", content=SECRET, tool_call_id=""), "messages[1].tool_call_id", "empty_string"),
    (message(role="tool", tool_call_id="1"), "messages[1].content", "missing_required_parameter"),
    (message(role="function", content=SECRET), "messages[1].name", "missing_required_parameter"),
    (message(role="user", content=[SECRET]), "messages[1].content[0]", "invalid_type"),
    (part(text=SECRET), "messages[1].content[1].type", "missing_required_parameter"),
    (part(type=5), "messages[1].content[1].type", "invalid_type"),
    (part(type="text"), "messages[1].content[1].text", "missing_required_parameter"),
    (part(type="text", text=None), "messages[1].content[1].text", "missing_required_parameter"),
    (part(type="text", text=5), "messages[1].content[1].text", "invalid_type"),
    (part(type="refusal"), "messages[1].content[1].refusal", "missing_required_parameter"),
    (part(type="image_url"), "messages[1].content[1].image_url", "missing_required_parameter"),
    (part(type="image_url", image_url=SECRET), "messages[1].content[1].image_url", "invalid_type"),
    (part(type="image_url", image_url={}), "messages[1].content[1].image_url.url", "missing_required_parameter"),
    (part(type="image_url", image_url={"url": ""}), "messages[1].content[1].image_url.url", "empty_string"),
    (part(type="input_audio", input_audio={"data": SECRET}), "messages[1].content[1].input_audio.format",
     "missing_required_parameter"),
    (part(type="file", file=SECRET), "messages[1].content[1].file", "invalid_type"),
    (chat(stream="true"), "stream", "invalid_type"),
    (chat(stream=1), "stream", "invalid_type"),
    (chat(stream_options={"include_usage": True}), "stream_options", "invalid_value"),
    (chat(stream=False, stream_options={}), "stream_options", "invalid_value"),
    (chat(stream=True, stream_options=True), "stream_options", "invalid_type"),
    (chat(stream=True, stream_options={"include_usage": SECRET}), "stream_options.include_usage", "invalid_type"),
    (chat(max_tokens=0), "max_tokens", "integer_below_min_value"),
    (chat(max_tokens=-1), "max_tokens", "integer_below_min_value"),
    (chat(max_tokens=2**31), "max_tokens", "integer_above_max_value"),
    (chat(max_tokens=10**400), "max_tokens", "integer_above_max_value"),
    (chat(max_tokens=5.0), "max_tokens", "invalid_type"),
    (chat(max_tokens="5"), "max_tokens", "invalid_type"),
    (chat(max_tokens=True), "max_tokens", "invalid_type"),
    (chat(max_completion_tokens=0), "max_completion_tokens", "integer_below_min_value"),
    (chat(n_predict=-1), "n_predict", "integer_below_min_value"),
    (chat(n=0), "n", "integer_below_min_value"),
    (chat(n=129), "n", "integer_above_max_value"),
    (chat(stop=""), "stop", "empty_string"),
    (chat(stop=5), "stop", "invalid_type"),
    (chat(stop=[SECRET, ""]), "stop[1]", "empty_string"),
    (chat(stop=[SECRET, 5]), "stop[1]", "invalid_type"),
    (chat(stop=[SECRET] * 5), "stop", "array_above_max_length"),
    (chat(temperature=2.01), "temperature", "decimal_above_max_value"),
    (chat(temperature=-0.01), "temperature", "decimal_below_min_value"),
    (chat(temperature=SECRET), "temperature", "invalid_type"),
    (chat(temperature=10**400), "temperature", "invalid_value"),
    (chat()[:-1] + b',"temperature":1e400}', "temperature", "invalid_value"),
    (chat(max_tokens=0)[:-2] + b"9" * 5000 + b"}", "max_tokens", "invalid_value"),
    (chat(top_p=1.5), "top_p", "decimal_above_max_value"),
    (chat(min_p=-1), "min_p", "decimal_below_min_value"),
    (chat(top_k=-2), "top_k", "integer_below_min_value"),
    (chat(top_k=2**31), "top_k", "integer_above_max_value"),
    (chat(presence_penalty=2.1), "presence_penalty", "decimal_above_max_value"),
    (chat(frequency_penalty=-2.1), "frequency_penalty", "decimal_below_min_value"),
    (chat(repetition_penalty=0), "repetition_penalty", "decimal_below_min_value"),
    (chat(seed=2**63), "seed", "integer_above_max_value"),
    (chat(seed=SECRET), "seed", "invalid_type"),
    (chat(user=5), "user", "invalid_type"),
    (chat(logit_bias=[]), "logit_bias", "invalid_type"),
    (chat(logit_bias={SECRET: 1}), "logit_bias", "invalid_type"),
    (chat(logit_bias={"-1": 1}), "logit_bias", "integer_below_min_value"),
    (chat(logit_bias={"1": 101}), "logit_bias", "decimal_above_max_value"),
    (chat(logit_bias={"1": SECRET}), "logit_bias", "invalid_type"),
    (chat(logprobs=1), "logprobs", "invalid_type"),
    (chat(top_logprobs=3), "top_logprobs", "invalid_value"),
    (chat(logprobs=True, top_logprobs=21), "top_logprobs", "integer_above_max_value"),
    (chat(response_format="json"), "response_format", "invalid_type"),
    (chat(response_format={}), "response_format.type", "missing_required_parameter"),
    (chat(response_format={"type": "json_schema"}), "response_format.json_schema", "missing_required_parameter"),
    (chat(response_format={"type": "json_schema", "json_schema": {"schema": {}}}), "response_format.json_schema.name",
     "missing_required_parameter"),
    (chat(tools={}), "tools", "invalid_type"),
    (chat(tools=[{}]), "tools[0].type", "missing_required_parameter"),
    (chat(tools=[{"type": "function"}]), "tools[0].function", "missing_required_parameter"),
    (chat(tools=[{"type": "function", "function": {}}]), "tools[0].function.name", "missing_required_parameter"),
    (chat(tools=[{"type": "function", "function": {"name": ""}}]), "tools[0].function.name", "empty_string"),
    (chat(tools=[{"type": "function", "function": {"name": "f", "parameters": SECRET}}]),
     "tools[0].function.parameters", "invalid_type"),
    (chat(tool_choice="required"), "tool_choice", "invalid_value"),
    (chat(tool_choice=SECRET), "tool_choice", "invalid_value"),
    (chat(tool_choice=5), "tool_choice", "invalid_type"),
    (chat(tools=[{"type": "function", "function": {"name": "f"}}],
          tool_choice={"type": "function", "function": {"name": SECRET}}),
     "tool_choice.function.name", "invalid_value"),
    (chat(tools=[{"type": "function", "function": {"name": "f"}}], tool_choice={"type": "function"}),
     "tool_choice.function", "missing_required_parameter"),
    (chat(parallel_tool_calls=SECRET), "parallel_tool_calls", "invalid_type"),
    (chat(functions=[{}]), "functions[0].name", "missing_required_parameter"),
    (chat(function_call=SECRET), "function_call", "invalid_value"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "param", "code"), CHAT, ids=[f"{n} {param}" for n, (_, param, _) in enumerate(CHAT)])
def test_a_mistake_in_a_chat_is_told_with_its_path(body: bytes, param: str, code: str) -> None:
    told = refusal("chat", body)
    assert (told.param, told.code) == (param, code)
    assert f"'{param}'" in told.message


def test_a_wrong_role_is_answered_with_the_right_ones() -> None:
    message_ = refusal("chat", message(role=SECRET, content="x")).message
    assert all(f"'{role}'" in message_ for role in ("system", "developer", "user", "assistant", "tool", "function"))


def test_a_range_is_said_in_openais_words() -> None:
    told = refusal("chat", chat(temperature=3))
    assert told.message == "Invalid 'temperature': decimal above maximum value. Expected a value <= 2."


def test_a_path_that_the_caller_writes_into_a_value_is_not_taken_for_one() -> None:
    told = refusal("chat", message(role="x` - at `$.temperature`", content="x"))
    assert told.param == "messages[1].role"
