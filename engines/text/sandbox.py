"""Runs a chat template so that it cannot reach anything, run on, or grow without end.

Jinja's own sandbox keeps a template from Python's insides and from changing what it is given. What is added is a
meter: each loop and macro looks at the clock every time round, and what makes a longer text out of shorter ones states
its length before it is made. Filters and methods are those that cannot make much out of little. So whatever a caller
sends, a rendering ends in time; a template that builds lists of lists of itself is still its operator's own doing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import partial, reduce
from typing import Any

from jinja2 import nodes, pass_context
from jinja2.compiler import CodeGenerator, Frame
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension
from jinja2.filters import FILTERS
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from engines.text.meter import LimitExceeded, Meter

# A line for each would fill a page.
# fmt: off
KEPT_FILTERS = frozenset({
    "abs", "attr", "capitalize", "count", "d", "default", "dictsort", "e", "escape", "first", "float",
    "forceescape", "groupby", "int", "items", "last", "length", "list", "lower", "map", "max", "min", "reject",
    "rejectattr", "reverse", "round", "safe", "select", "selectattr", "sort", "string", "title", "trim",
    "truncate", "unique", "upper", "wordcount",
})
STR_METHODS = frozenset({
    "capitalize", "casefold", "count", "endswith", "find", "format", "format_map", "index", "isalnum", "isalpha",
    "isascii", "isdecimal", "isdigit", "islower", "isnumeric", "isspace", "istitle", "isupper", "join", "lower",
    "lstrip", "partition", "removeprefix", "removesuffix", "replace", "rfind", "rindex", "rpartition", "rsplit",
    "rstrip", "split", "splitlines", "startswith", "strip", "swapcase", "title", "upper",
})
# fmt: on
ATTRIBUTES: dict[type, frozenset[str]] = {
    dict: frozenset({"copy", "get", "items", "keys", "values"}),
    list: frozenset({"copy", "count", "index"}),
    tuple: frozenset({"count", "index"}),
    int: frozenset(),
    float: frozenset(),
    bool: frozenset(),
    bytes: frozenset(),
}
WIDE = re.compile(r"[%{)][^a-zA-Z}]*(?:\*|\{|\d{4})|:[^}]*(?:\{|\d{4})")
"""In a format: a width of thousands, or one that comes from elsewhere."""
DIGITS = 4096
"""Bits of the largest number."""


class _MeteredContext(Context):
    meter: Meter


class _MeteredCode(CodeGenerator):
    """Python code that ticks. Templates have no expression statements and no references to the context of their own."""

    def visit_For(self, node: nodes.For, frame: Frame) -> None:  # noqa: N802  # Jinja's name
        _begin_with_tick(node)
        if node.test:
            node.test = nodes.And(nodes.ContextReference(lineno=node.lineno), node.test, lineno=node.lineno)
        super().visit_For(node, frame)

    def visit_Macro(self, node: nodes.Macro, frame: Frame) -> None:  # noqa: N802  # Jinja's name
        _begin_with_tick(node)
        super().visit_Macro(node, frame)

    def visit_ExprStmt(self, node: nodes.ExprStmt, frame: Frame) -> None:  # noqa: N802  # Jinja's name
        assert isinstance(node.node, nodes.Const)
        self.writeline(f"context.meter.tick({node.node.value})", node)

    def visit_ContextReference(self, node: nodes.ContextReference, frame: Frame) -> None:  # noqa: N802  # Jinja's name
        self.write("context.meter.tick(0)")

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:  # noqa: N802  # Jinja's name
        self._write_call("context.meter.concat((", node.nodes, "))", frame)

    def visit_Add(self, node: nodes.BinExpr, frame: Frame) -> None:  # noqa: N802  # Jinja's name
        self._write_call("environment.add_up(context, (", _summands(node), "))", frame)

    def _write_call(self, begin: str, parts: list[nodes.Expr], end: str, frame: Frame) -> None:
        self.write(begin)
        for part in parts:
            self.visit(part, frame)
            self.write(", ")
        self.write(end)


def _summands(node: nodes.Expr) -> list[nodes.Expr]:
    """Of `a + b + c`, which is `(a + b) + c`, all three."""
    return [*_summands(node.left), node.right] if isinstance(node, nodes.Add) else [node]


def _begin_with_tick(node: nodes.For | nodes.Macro) -> None:
    """Each time round costs the characters of the template that it may write."""
    cost = sum(len(data.data) for data in node.find_all(nodes.TemplateData))
    node.body.insert(0, nodes.ExprStmt(nodes.Const(cost), lineno=node.lineno))


class _Generation(Extension):
    """`{% generation %}` marks an assistant's words for training; here it is as if it were not there."""

    tags = {"generation"}  # noqa: RUF012  # as its parent declares it

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        return nodes.Scope(parser.parse_statements(("name:endgeneration",), drop_needle=True), lineno=line)


class Sandbox(ImmutableSandboxedEnvironment):
    """The environment in which Hugging Face's libraries render chat templates, with a meter on it."""

    code_generator_class = _MeteredCode
    context_class = _MeteredContext
    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self) -> None:
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=["jinja2.ext.loopcontrols", _Generation],
            finalize=_written,
        )
        own = {"tojson": _tojson, "join": _join, "replace": _replace, "indent": _indent, "format": _format}
        self.filters = {name: FILTERS[name] for name in KEPT_FILTERS} | own
        del self.globals["lipsum"]

    def compiled(self, source: str) -> Callable[[dict[str, Any], Meter], str]:
        """What renders the template with these variables. Raises jinja2.TemplateError if it is none."""
        tree = self.parse(source)
        if any(tree.find_all((nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends, nodes.Block))):
            raise SecurityError("it refers to other templates or has blocks")
        template = self.from_string(tree)
        shared = dict(template.globals)

        def render(variables: dict[str, Any], meter: Meter) -> str:
            context = _MeteredContext(self, shared | variables, template.name, {})
            context.meter = meter
            return "".join(template.root_render_func(context))

        return render

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        allowed = STR_METHODS if isinstance(obj, str) else ATTRIBUTES.get(type(obj))
        return super().is_safe_attribute(obj, attr, value) if allowed is None else attr in allowed

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        wrapped = super().wrap_str_format(value)
        if wrapped and WIDE.search(value.__self__):
            raise SecurityError("a format is too wide")
        return wrapped

    def add_up(self, context: _MeteredContext, parts: tuple[Any, ...]) -> Any:
        """The sum of two or more; texts, as nearly all are, become one at once."""
        size = 0
        for part in parts:
            if type(part) is not str:
                return reduce(partial(self.call_binop, context, "+"), parts)
            size += len(part)
        context.meter.tick(size)
        return "".join(parts)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        assert isinstance(context, _MeteredContext)
        if isinstance(left, int) and isinstance(right, int):
            bits = left.bit_length() * (right if operator == "**" else 1) + right.bit_length()
            if bits > DIGITS and operator != "%":
                raise LimitExceeded("its numbers are too large")
        elif operator == "+" and hasattr(left, "__len__") and hasattr(right, "__len__"):
            context.meter.tick(len(left) + len(right))
        elif operator == "*" and (hasattr(left, "__len__") or hasattr(right, "__len__")):
            amount, times = (left, right) if hasattr(left, "__len__") else (right, left)
            context.meter.tick(len(amount) * max(0, times))
        elif operator == "%" and isinstance(left, str) and WIDE.search(left):
            raise SecurityError("a format is too wide")
        return self.binop_table[operator](left, right)

    def call(self, context: Context, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        assert isinstance(context, _MeteredContext)
        name, text = getattr(obj, "__name__", ""), getattr(obj, "__self__", None)
        if isinstance(text, str) and args:
            if name == "join":
                return _join(context, args[0], text)
            if name == "replace":
                return _replace(context, text, *args, **kwargs)
        made = super().call(context, obj, *args, **kwargs)
        if isinstance(made, str):
            context.meter.tick(len(made))
        return made


@pass_context
def _written(context: _MeteredContext, value: Any) -> str:
    """Every value that is written passes here."""
    text = value if isinstance(value, str) else str(value)
    context.meter.tick(len(text))
    return text


@pass_context
def _tojson(
    context: _MeteredContext,
    value: Any,
    ensure_ascii: bool = False,  # noqa: FBT001, FBT002  # templates give it by position or name
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,  # noqa: FBT001, FBT002  # the same
) -> str:
    if isinstance(indent, int) and indent > 16:
        raise LimitExceeded("it indents too far")
    text = json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)
    context.meter.tick(len(text))
    return text


@pass_context
def _join(context: _MeteredContext, value: Any, d: str = "", attribute: str | int | None = None) -> str:
    items = value if attribute is None else FILTERS["map"](context, value, attribute=attribute)
    texts = [item if isinstance(item, str) else str(item) for item in items]
    context.meter.tick(sum(map(len, texts)) + len(d) * len(texts))
    return d.join(texts)


@pass_context
def _replace(context: _MeteredContext, value: Any, old: str, new: str, count: int | None = None) -> str:
    text = str(value)
    context.meter.tick(len(text) + text.count(old) * len(new))
    return text.replace(old, new, -1 if count is None else count)


@pass_context
def _indent(context: _MeteredContext, value: Any, width: int | str = 4, *args: Any, **kwargs: Any) -> Any:
    text = str(value)
    context.meter.tick(len(text) + (text.count("\n") + 1) * (width if isinstance(width, int) else len(width)))
    return FILTERS["indent"](text, width, *args, **kwargs)


@pass_context
def _format(context: _MeteredContext, value: Any, *args: Any, **kwargs: Any) -> Any:
    assert isinstance(context.environment, Sandbox)
    return context.environment.call_binop(context, "%", str(value), kwargs or args)
