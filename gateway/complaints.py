"""Says what is wrong with a request body, and where, in OpenAI's words, without repeating what the caller wrote.

msgspec finds most mistakes and describes them in text with a JSON path; a struct's own rule raises a `Flaw`, which
msgspec wraps with the path. Both become `Invalid` here. Codes and wording follow OpenAI's where those are known.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec


class Invalid(Exception):
    """The body is the caller's mistake: `param` is the path of the member, None if the body as a whole is wrong."""

    def __init__(
        self, message: str, param: str | None = None, code: str | None = None, *, too_large: bool = False
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code
        self.too_large = too_large


class Flaw(ValueError):
    """A mistake in one object whose place in the body is not known yet: `{}` in the text becomes the member's path.

    It is a ValueError because that is what msgspec adds the path to when a struct's `__post_init__` raises it.
    """

    def __init__(self, member: str, code: str, text: str) -> None:
        super().__init__(code)
        self.member = member
        self.code = code
        self.text = text

    def at(self, path: str) -> Invalid:
        """The same mistake, now that the path of the object is known ("" for the body itself)."""
        param = f"{path}.{self.member}" if path and self.member else path or self.member
        return Invalid(self.text.replace("{}", param or "request body"), param or None, self.code)


def missing(member: str) -> Flaw:
    return Flaw(member, "missing_required_parameter", "Missing required parameter: '{}'.")


def unsuitable(member: str, why: str) -> Flaw:
    """A well-typed value that makes no sense here; `why` is a sentence about `'{}'`."""
    return Flaw(member, "invalid_value", why)


def mistyped(member: str, wanted: str, got: str = "") -> Flaw:
    but = f", but got {got} instead" if got else ""
    return Flaw(member, "invalid_type", f"Invalid type for '{{}}': expected {wanted}{but}.")


def too_long(member: str, limit: int) -> Flaw:
    text = f"Invalid '{{}}': array too long. Expected an array with maximum length {limit}."
    return Flaw(member, "array_above_max_length", text)


def undecodable(error: UnicodeDecodeError | RecursionError | msgspec.DecodeError) -> Invalid:
    """What to answer when a body could not be decoded, for whichever reason."""
    if isinstance(error, msgspec.ValidationError):
        return _locate(error)
    if isinstance(error, UnicodeDecodeError):
        return Invalid("The request body is not valid UTF-8.", code="invalid_json")
    if isinstance(error, RecursionError):
        return Invalid("The request body is nested too deeply.", code="invalid_json")
    return Invalid(f"The request body is not valid JSON ({error}).", code="invalid_json")  # msgspec quotes no content


def _locate(error: msgspec.ValidationError) -> Invalid:
    text, path = str(error), ""
    if place := _PLACE.search(text):
        text, path = text[: place.start()], place["path"].split("[...]")[0].removeprefix(".")
    if isinstance(error.__cause__, Flaw):
        return error.__cause__.at(path)
    for pattern, flaw in _MISTAKES:
        if match := pattern.match(text):
            return flaw(match).at(path)
    choices = _CHOICES.get(path.rpartition(".")[2])  # msgspec says which value was wrong, not which are right
    supported = f" Supported values are: {choices}." if choices else ""
    return unsuitable("", f"Invalid value for '{{}}'.{supported}").at(path)


def _wrong_type(match: re.Match[str]) -> Flaw:
    wanted = [_NOUNS.get(name, name) for name in match["wanted"].split(" | ") if name != "null"]
    return mistyped("", " or ".join(wanted), _NOUNS.get(match["got"] or "", ""))


def _out_of_range(match: re.Match[str]) -> Flaw:
    kind = "integer" if match["kind"] == "int" else "decimal"
    side, words = ("below_min", "below minimum") if match["op"][0] == ">" else ("above_max", "above maximum")
    wanted = f"{match['op']} {match['bound'].removesuffix('.0')}"
    return Flaw("", f"{kind}_{side}_value", f"Invalid '{{}}': {kind} {words} value. Expected a value {wanted}.")


def _wrong_length(match: re.Match[str]) -> Flaw:
    kind = "array" if match["kind"] == "array" else "string"
    if match["op"] == ">=":  # every minimum in the schema is 1
        return Flaw("", f"empty_{kind}", f"Invalid '{{}}': empty {kind}.")
    text = f"Invalid '{{}}': {kind} too long. Expected {_NOUNS[kind]} with maximum length {match['bound']}."
    return Flaw("", f"{kind}_above_max_length", text)


_NOUNS = {
    "int": "an integer", "float": "a number", "str": "a string", "string": "a string", "bool": "a boolean",
    "array": "an array", "object": "an object", "null": "null",
}  # fmt: skip
_CHOICES = {
    "role": "'system', 'developer', 'user', 'assistant', 'tool' and 'function'",
    "tool_choice": "'none', 'auto', 'required' and an object that names a tool",
    "function_call": "'none', 'auto' and an object that names a function",
    "encoding_format": "'float' and 'base64'",
}
_PLACE = re.compile(r" - at `(?:key` in `)?\$(?P<path>[^`]*)`$")
_MISTAKES: list[tuple[re.Pattern[str], Callable[[re.Match[str]], Flaw]]] = [
    (re.compile(r"Object missing required field `(?P<field>\w+)`"), lambda match: missing(match["field"])),
    (re.compile(r"Expected `(?P<kind>array|str)` of length (?P<op>[<>]=) (?P<bound>\d+)"), _wrong_length),
    (re.compile(r"Expected `(?P<kind>int|float)` (?P<op>[<>]=?) (?P<bound>\S+)"), _out_of_range),
    (re.compile(r"Expected `(?P<wanted>[\w |]+)`(?:, got `(?P<got>\w+)`)?$"), _wrong_type),
    (
        re.compile(r"(?:Integer value|Number) out of range"),
        lambda _: unsuitable("", "Invalid '{}': the number is out of range."),
    ),
]
