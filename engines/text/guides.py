"""The form that a text must have: from `response_format`, `guided_*`, `structured_outputs` or a forced tool call."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import msgspec

from engines.api import Rejected
from engines.text.members import Members, invalid, unsupported
from engines.text.schemas import MAX_PARTS, Malformed, check_schema

Form = Literal["json", "json_schema", "regex", "ebnf_grammar"]


class Guide(NamedTuple):
    """`text` is the schema (JSON), expression or grammar; "" for any JSON object. `param` is where it was asked for."""

    form: Form
    text: str
    param: str


def guide_of(members: Members) -> Guide | None:
    """The one guide that is asked for, None if there is none. Raises Rejected for a malformed one, or for two."""
    guides = [guide for guide in (_response_format(members.response_format), *_guided(members)) if guide is not None]
    if len(guides) > 1:
        raise invalid(guides[1].param, f"the text can't also have a form by '{guides[0].param}'")
    return guides[0] if guides else None


def forced_guide(tools: Sequence[dict[str, Any]], choice: str | dict[str, Any]) -> Guide:
    """The form of a call of one of these tools, or of the one that `choice` names: its name, then its parameters."""
    if choice != "required" and not isinstance(choice, dict):
        raise invalid("tool_choice", "it must be 'none', 'auto', 'required' or an object that names a function")
    wanted = _named(choice) if isinstance(choice, dict) else None
    calls = []
    room = MAX_PARTS
    for at, tool in enumerate(tools):
        name, parameters = function_of(tool, f"tools[{at}]")
        if wanted in (None, name):
            room -= _check(parameters, f"tools[{at}].function.parameters", room)
            form = {"name": {"type": "string", "enum": [name]}, "parameters": parameters}
            calls.append({"type": "object", "properties": form, "required": ["name", "parameters"]})
    if not calls:
        raise invalid("tool_choice", "no such function in 'tools'")
    return Guide("json_schema", _text(calls[0] if len(calls) == 1 else {"anyOf": calls}, "tools"), "tool_choice")


def _named(choice: dict[str, Any]) -> str:
    function = choice.get("function")
    name = function.get("name") if isinstance(function, dict) else None
    if choice.get("type") != "function" or not isinstance(name, str):
        raise invalid("tool_choice", "it must name a function")
    return name


def function_of(tool: dict[str, Any], path: str) -> tuple[str, Any]:
    """A tool's name and what is said to be the schema of its parameters. Raises Rejected where it is no function."""
    function = tool.get("function")
    name = function.get("name") if isinstance(function, dict) else None
    if tool.get("type") != "function" or not isinstance(function, dict) or not isinstance(name, str) or not name:
        raise unsupported(path, "This model calls functions only, each with a name.")
    parameters = function.get("parameters")
    return name, {"type": "object", "properties": {}} if parameters is None else parameters


def _response_format(given: dict[str, Any] | None) -> Guide | None:
    kind = given.get("type") if given else "text"
    if given is None or kind == "text":
        return None
    if kind == "json_object":
        return Guide("json", "", "response_format")
    if kind != "json_schema":
        raise unsupported("response_format.type", "This model knows 'text', 'json_object' and 'json_schema' only.")
    inner = given.get("json_schema")
    if not isinstance(inner, dict):
        raise invalid("response_format.json_schema", "it must be an object")
    schema = inner.get("schema")
    if schema is None:
        return Guide("json", "", "response_format")
    return Guide("json_schema", _checked_text(schema, "response_format.json_schema.schema"), "response_format")


def _guided(members: Members) -> list[Guide | None]:
    newer = members.structured_outputs
    guides = [
        _json("guided_json", members.guided_json),
        _plain("guided_regex", "regex", members.guided_regex),
        _choice("guided_choice", members.guided_choice),
        _plain("guided_grammar", "ebnf_grammar", members.guided_grammar),
    ]
    if newer is not None:
        guides += [
            _json("structured_outputs.json", newer.json),
            _plain("structured_outputs.regex", "regex", newer.regex),
            _choice("structured_outputs.choice", newer.choice),
            _plain("structured_outputs.grammar", "ebnf_grammar", newer.grammar),
            Guide("json", "", "structured_outputs.json_object") if newer.json_object else None,
        ]
    return guides


def _json(param: str, given: str | dict[str, Any] | None) -> Guide | None:
    if given is None:
        return None
    schema: Any = given
    if isinstance(given, str):
        try:
            schema = msgspec.json.decode(given)
        except (msgspec.DecodeError, RecursionError):
            raise invalid(param, "the string is not JSON") from None
    return Guide("json_schema", _checked_text(schema, param), param)


def _plain(param: str, form: Form, given: str | None) -> Guide | None:
    return None if given is None else Guide(form, given, param)


def _choice(param: str, given: Sequence[str] | None) -> Guide | None:
    if given is None:
        return None
    return Guide("regex", "(" + "|".join(_SPECIAL.sub(r"\\\g<0>", text) for text in given) + ")", param)


_PATH_SHOWN = 200  # characters; property names in it are the caller's
_SPECIAL = re.compile(r"[\\^$.|?*+()\[\]{}]")  # those of every dialect: re.escape also escapes what some do not know


def _checked_text(schema: Any, path: str) -> str:
    _check(schema, path)
    return _text(schema, path)


def _check(schema: Any, path: str, room: int = MAX_PARTS) -> int:
    if not isinstance(schema, dict):
        raise invalid(path, "a schema must be an object")
    try:
        return check_schema(schema, path, room)
    except Malformed as error:
        where = error.where[:_PATH_SHOWN]
        raise Rejected(f"Invalid schema for '{where}': {error.why}.", param=where, code="invalid_value") from None


def _text(schema: dict[str, Any], path: str) -> str:
    try:
        return msgspec.json.encode(schema).decode()
    except RecursionError:  # by a default or a constant in it, which is no schema to be checked
        raise invalid(path, "it is nested too deeply") from None
