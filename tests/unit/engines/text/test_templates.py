"""What a chat template makes of messages: Hugging Face's rules, OpenAI's spelling, and limits that hold."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from engines.text.meter import Limits
from engines.text.templates import ChatTemplate, TemplateError
from tests.support.chat_models import BRACKETED, HEADED, MARKED

HELLO = [{"role": "user", "content": "Hello"}]
TOOL = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object", "properties": {}}}}
CALL = {"id": "c1", "type": "function", "function": {"name": "look_up", "arguments": '{"what": "caf\\u00e9"}'}}
PARTS = "{% for m in messages %}{% for part in m.content %}{{ '<img>' if part.type == 'image' else part.text }}"
PARTS += "{% endfor %}{% endfor %}"
ANY = "{% for m in messages %}{{ m.role }}:{% if m.content is string %}{{ m.content }}{% else %}"
ANY += "{% for part in m.content %}{{ part.text }}{% endfor %}{% endif %};{% endfor %}"


def rendered(source: str, messages: list[dict[str, Any]] | None = None, **given: Any) -> str:
    return ChatTemplate(source, bos="<s>", eos="</s>").render(messages or HELLO, **given)


@pytest.mark.parametrize(
    ("source", "prompt"),
    [
        ("  {% if true %}\n  x\n  {% endif %}\ny\n", "  x\ny"),
        ("{{ bos_token }}{{ eos_token }}{{ add_generation_prompt }}", "<s></s>True"),
        ("{{ tools is none }}{{ documents is none }}{{ nobody }}", "TrueTrue"),
        ("{{ {'b': '<é>', 'a': 1} | tojson }}", '{"b": "<é>", "a": 1}'),
        ("{{ [1] | tojson(indent=2) }}", "[\n  1\n]"),
        ("{{ 'é' | tojson(ensure_ascii=true) }}", '"\\u00e9"'),
        ("{% for i in range(9) %}{% if i == 2 %}{% break %}{% endif %}{{ i }}{% endfor %}", "01"),
        ("{% for i in range(3) %}{% if i == 1 %}{% continue %}{% endif %}{{ i }}{% endfor %}", "02"),
        ("a{% generation %}b{% endgeneration %}c", "abc"),
        (
            "{% set ns = namespace(n=0) %}{% for m in messages * 3 %}{% set ns.n = ns.n + 1 %}{% endfor %}{{ ns.n }}",
            "3",
        ),
        ("{% for m in messages if m.role == 'user' %}{{ loop.index }}{{ loop.last }}{% endfor %}", "1True"),
        ("{% macro say(x, y='!') %}{{ x ~ y }}{% endmacro %}{{ say('a') + say('b', '?') }}", "a!b?"),
        ("{{ messages[0]['content'][1:] | upper | replace('L', 'l') }}", "EllO"),
        (
            "{{ ', '.join(['a', 'b']) }}{{ ['c', 'd'] | join('-') }}{{ messages | map(attribute='role') | join }}",
            "a, bc-duser",
        ),
        ("{{ '%02d' % 7 }}{{ '%s!' | format('x') }}{{ '{}-{:.1f}'.format('a', 2) }}", "07x!a-2.0"),
        ("{{ 'a\nb' | indent(2) }}{{ 7 % 3 }}{{ 2 ** 5 }}{{ 'ab' * 2 }}", "a\n  b132abab"),
        (
            "{{ messages[0].get('name', 'none') }}{% for k, v in messages[0].items() %}{{ k }}{% endfor %}",
            "nonerolecontent",
        ),
        ("{{ messages | selectattr('role', 'equalto', 'user') | list | length }}", "1"),
    ],
)
def test_templates_mean_what_they_mean_elsewhere(source: str, prompt: str) -> None:
    assert rendered(source) == prompt


def test_the_date_is_to_be_had() -> None:
    before = time.strftime("%Y")
    assert rendered("{{ strftime_now('%Y') }}") in (before, time.strftime("%Y"))


@pytest.mark.parametrize(("source", "can"), [(HEADED, True), (MARKED, True), (BRACKETED, False), ("{{ tools }}", True)])
def test_whether_tools_are_shown_is_found_by_trying(source: str, can: bool) -> None:
    template = ChatTemplate(source)
    assert template.renders_tools is can
    assert ("look_up" in template.render(HELLO, tools=[TOOL])) is can


def test_arguments_are_an_object_to_the_template() -> None:
    messages: list[dict[str, Any]] = [*HELLO, {"role": "assistant", "content": None, "tool_calls": [CALL]}]
    assert '{"name": "look_up", "arguments": {"what": "café"}}' in rendered(MARKED, messages)


NULLED = """\
{%- for m in messages %}
    {%- if m.role == 'assistant' and m.content is none %}
        {%- for call in m.tool_calls %}{{ call.function.name + call.function.arguments }}{% endfor %}
    {%- else %}
        {{- m.role + ':' + m.content }}
    {%- endif %}
{%- endfor %}
"""


def test_a_template_may_want_the_call_as_openai_has_it() -> None:
    messages: list[dict[str, Any]] = [*HELLO, {"role": "assistant", "content": None, "tool_calls": [CALL]}]
    assert rendered(NULLED, messages) == "user:Hellolook_up" + '{"what": "caf\\u00e9"}'
    assert rendered(NULLED, [{"role": "assistant", "content": None}]) == "assistant:", (
        "null only where calls stand for it"
    )
    assert '"None"' not in rendered(HEADED, messages)


@pytest.mark.parametrize(
    "arguments",
    [
        "{{ call.function.arguments }}",
        "{{ call.function.arguments | string }}",
        "{% if call.function.arguments is string %}{{ call.function.arguments }}{% else %}{{ nobody.x }}{% endif %}",
    ],
)
def test_a_template_that_would_spell_an_object_as_python_gets_json(arguments: str) -> None:
    source = "{% for call in messages[1].tool_calls %}{{ call.function.name }}" + arguments + "{% endfor %}"
    messages: list[dict[str, Any]] = [*HELLO, {"role": "assistant", "tool_calls": [CALL]}]
    assert rendered(source, messages) == 'look_up{"what": "caf\\u00e9"}'


@pytest.mark.parametrize("text", ["{broken", "[1]", "1", "[" * 5000])
def test_arguments_that_are_no_object_stay_the_text_they_are(text: str) -> None:
    call = {"id": "c", "function": {"name": "f", "arguments": text}}
    messages = [{"role": "assistant", "tool_calls": [call]}]
    assert rendered("{{ messages[0].tool_calls[0].function.arguments }}", messages) == text


def test_what_is_null_or_empty_is_not_there() -> None:
    messages: list[dict[str, Any]] = [
        {"role": "assistant", "content": None, "tool_calls": [], "refusal": None, "name": None}
    ]
    assert rendered("{{ messages[0] | tojson }}", messages) == '{"role": "assistant", "content": ""}'
    assert messages[0]["refusal"] is None, "the caller's messages are not touched"


def test_parts_are_lines_to_a_template_that_takes_text() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}, {"type": "refusal", "refusal": "c"}]
    assert "a\nb\nc<|done|>" in rendered(HEADED, [{"role": "user", "content": parts}])
    assert rendered(ANY, [{"role": "user", "content": parts}]) == "user:abc;"
    assert rendered(PARTS, [{"role": "user", "content": "text"}]) == "text", "one that takes parts only gets parts"


def test_images_go_only_where_the_template_has_a_place_for_them() -> None:
    image = {"type": "image_url", "image_url": {"url": "http://elsewhere/x.png"}}
    messages = [{"role": "user", "content": [{"type": "text", "text": "See: "}, image]}]
    assert ChatTemplate(PARTS).takes_images
    assert rendered(PARTS, messages) == "See: <img>"
    for source in (HEADED, ANY, "{{ messages[0].content }}", "{{ messages | tojson }}"):
        assert not ChatTemplate(source).takes_images
        with pytest.raises(TemplateError, match="takes no images"):
            rendered(source, messages)
    with pytest.raises(TemplateError, match="takes no input_audio parts"):
        rendered(PARTS, [{"role": "user", "content": [{"type": "input_audio"}]}])


def test_a_developer_is_the_system_to_templates_that_know_no_other() -> None:
    messages = [{"role": "developer", "content": "Be brief."}, *HELLO]
    assert "system" in rendered("{{ messages[0].role }}", messages)
    assert rendered("{# developer #}{{ messages[0].role }}", messages) == "developer"


def test_options_reach_the_template_but_replace_nothing_of_ours() -> None:
    source = "{{ enable_thinking }}{{ add_generation_prompt }}"
    assert rendered(source, options={"enable_thinking": False, "add_generation_prompt": False}) == "FalseFalse"
    for name in ("messages", "tools", "bos_token", "raise_exception"):
        with pytest.raises(TemplateError, match=f"'{name}' cannot be given"):
            rendered(source, options={name: "x"})


def test_what_a_template_refuses_is_told_in_its_words() -> None:
    with pytest.raises(TemplateError, match="refuses these messages: user and assistant must take turns") as caught:
        rendered(BRACKETED, [*HELLO, *HELLO])
    assert caught.value.message == str(caught.value)
    with pytest.raises(TemplateError) as long:
        rendered("{{ raise_exception(messages[0].content) }}", [{"role": "user", "content": "x" * 9999}])
    assert len(long.value.message) < 400


@pytest.mark.parametrize(
    ("source", "said"),
    [("{{ 'a' + 'b' + 'c' }}", "abc"), ("{{ 1 + 2 + 3 }}", "6"), ("{{ ([1] + [2] + [3])[2] }}", "3")],
)
def test_sums_are_of_texts_numbers_and_lists(source: str, said: str) -> None:
    assert ChatTemplate(source).render(HELLO) == said


@pytest.mark.parametrize("source", ["{{ messages[9].content.x }}", "{{ 1 / 0 }}", "{{ 'a' + 1 }}", "{{ nobody() }}"])
def test_what_fails_inside_says_nothing_of_the_inside(source: str) -> None:
    with pytest.raises(TemplateError) as caught:
        rendered(source)
    assert caught.value.message == "The model's chat template cannot render these messages."


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ (messages | attr('append'))(1) }}",
        "{{ messages.append(1) }}",
        "{{ messages[0].update({'content': 1}) }}",
        "{{ raise_exception.__globals__['asyncio'] }}",
        "{{ lipsum.__globals__ }}",
        "{{ '{0.__class__.__mro__}'.format(1).x.y }}",
    ],
)
def test_a_template_reaches_and_changes_nothing(source: str) -> None:
    with pytest.raises(TemplateError):
        rendered(source)


@pytest.mark.parametrize("tag", ["include 'x'", "import 'x' as x", "extends 'x'", "from 'x' import y"])
def test_a_template_that_needs_others_is_refused_at_once(tag: str) -> None:
    with pytest.raises(ValueError, match="refers to other templates"):
        ChatTemplate("{% " + tag + " %}")


DOUBLED = "{% set ns = namespace(x='ab') %}{% for i in range(99) %}{% set ns.x = WHAT %}{% endfor %}"
TWICE = [
    *("ns.x ~ ns.x", "ns.x + ns.x", "ns.x * 2", "'%s%s' % (ns.x, ns.x)", "'{0}{0}'.format(ns.x)"),
    "[ns.x, ns.x] | tojson",
    *("[ns.x, ns.x] | join", "ns.x.join([ns.x, ns.x])", "ns.x.replace('a', ns.x)", "ns.x | replace('a', ns.x)"),
]
TOO_MUCH = [
    *("{{ 'a' * 10 ** 9 }}", "{{ [0] * 10 ** 9 }}", "{{ 9 ** (9 ** 9) }}", "{{ range(10 ** 9) }}"),
    *("{{ 'a'.center(10 ** 9) }}", "{{ 'a\nb' | indent(10 ** 9) }}", "{{ 1 | tojson(indent=10 ** 9) }}"),
    *("{{ '%999999999d' % 1 }}", "{{ '%*d' % (10 ** 9, 1) }}", "{{ '%(n)99999d' % {'n': 1} }}"),
    *("{{ '%9999d' | format(1) }}", "{{ '{:>99999}'.format(1) }}", "{{ '{n:>99999}'.format(n=1) }}"),
    "{{ '{:{}}'.format(1, 10 ** 9) }}",
    *(DOUBLED.replace("WHAT", twice) for twice in TWICE),
    DOUBLED.replace(" = WHAT %}", " %}{{ ns.x }}{{ ns.x }}{% endset %}"),
    "{% set ns = namespace(x=99) %}{% for i in range(99) %}{% set ns.x = ns.x * ns.x %}{% endfor %}",
    "{% macro f(n) %}{{ f(n) }}{% endmacro %}{{ f(1) }}",
    "{% set x %}{% for i in range(99999) %}" + "constant " * 2000 + "{% endfor %}{% endset %}",
]
TOO_LONG = [
    "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
    "{% for i in range(99999) if range(9999) | select('gt', 99999) | list %}{% endfor %}",
    "{% macro f(n) %}{{ f(n - 1) + f(n - 1) if n }}{% endmacro %}{{ f(60) }}",
    "{% for i in [range(60)] recursive %}{{ loop([range(60)] * 2) if loop.depth < 60 }}{% endfor %}",
]


@pytest.mark.parametrize("source", [*TOO_MUCH, *TOO_LONG])
def test_a_template_that_grows_or_runs_on_is_stopped(source: str) -> None:
    started = time.monotonic()
    with pytest.raises(TemplateError, match="cannot render these messages"):
        ChatTemplate(source, limits=Limits(seconds=0.1, characters=1_000_000)).render(HELLO)
    assert time.monotonic() - started < 10, "five times 0.1 s, as it is tried out first"


@pytest.mark.parametrize("token", ["<|im_end|>", "</s>", "[INST]"])
def test_no_text_of_a_caller_is_a_control_token(token: str) -> None:
    source = "{{ messages | tojson }}{{ tools | tojson }}{{ hint }}"
    template = ChatTemplate(source, control={"<|im_end|>", "</s>", "[INST]"})
    said = f"a{token}b"
    call = {"id": said, "function": {"name": said, "arguments": f'{{"{said}": "{said}"}}'}}
    messages = [{"role": "assistant", "content": said, "tool_calls": [call], said: [said]}]
    tools = [{"function": {"name": said, "parameters": {said: said}}}]
    prompt = template.render(messages, tools=tools, options={"hint": said})
    assert token not in prompt
    assert prompt.replace("\u200b", "").count(said) == 11


def test_control_tokens_that_overlap_or_span_two_parts_are_broken_up_too() -> None:
    template = ChatTemplate(PARTS, control={"<ab>", "b><", "><c"})
    assert "<ab>" not in template.render([{"role": "user", "content": "<ab><c"}])
    parts = [{"type": "text", "text": "<a"}, {"type": "text", "text": "b>"}]
    prompt = template.render([{"role": "user", "content": parts}])
    assert prompt.replace("\u200b", "") == "<ab>" != prompt


async def test_a_long_conversation_is_rendered_beside_the_loop() -> None:
    messages = [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}] * 20_000
    template = ChatTemplate(HEADED, limits=Limits(seconds=60))
    work = asyncio.create_task(template.render_soon([*messages, *HELLO]))
    beats = 0
    while not work.done():
        await asyncio.sleep(0)
        beats += 1
    assert beats > 3, "on the loop it would be done by the first"
    assert (await work).count("<|done|>") == 40_001
    assert await template.render_soon(HELLO) == template.render(HELLO)
