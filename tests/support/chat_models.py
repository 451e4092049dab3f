"""Three made-up models as folders with a tokenizer.json: one like Llama 3, one like Qwen, one like Mistral."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

from engines.text.gguf_tokens import SPLITS
from tests.support.vocabularies import SPACE, SPECIALS, Vocabulary, byte_level, sentence_piece

HEADED = """\
{{- bos_token }}
{%- if tools %}
    {{- '<|header|>system<|header|>\\n\\nThese functions can be called:\\n' }}
    {%- for tool in tools %}
        {{- tool | tojson(indent=2) + '\\n' }}
    {%- endfor %}
    {{- '<|done|>' }}
{%- endif %}
{%- for message in messages %}
    {{- '<|header|>' ~ message.role ~ '<|header|>\\n\\n' }}
    {%- if 'tool_calls' in message %}
        {%- for call in message.tool_calls %}
            {{- '{"name": "' + call.function.name + '", "parameters": ' + call.function.arguments | tojson + '}' }}
        {%- endfor %}
    {%- else %}
        {{- message.content | trim }}
    {%- endif %}
    {{- '<|done|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|header|>assistant<|header|>\\n\\n' }}
{%- endif %}
"""
MARKED = """\
{%- set ns = namespace(system='Be of use.') %}
{%- for message in messages if message['role'] == 'system' %}
    {%- set ns.system = message['content'] %}
{%- endfor %}
<|im_start|>system
{{ ns.system }}
{%- if tools %}

You may call:
<tools>
{% for tool in tools %}
{{ tool | tojson }}
{% endfor %}
</tools>
{%- endif %}
<|im_end|>
{% for message in messages if message.role != 'system' %}
<|im_start|>{{ 'user' if message.role == 'tool' else message.role }}
{% if message.role == 'tool' %}
<tool_response>{{ message.content }}</tool_response>
{%- else %}
{% generation %}{{ message.content.split('</think>')[-1].lstrip('\\n') }}{% endgeneration %}
{%- for call in message.tool_calls or [] %}
<tool_call>{{ {'name': call.function.name, 'arguments': call.function.arguments} | tojson }}</tool_call>
{%- endfor %}
{%- endif %}
<|im_end|>
{% endfor %}
{%- if add_generation_prompt %}
<|im_start|>assistant
{% endif %}
"""
BRACKETED = """\
{%- if messages[0]['role'] == 'system' %}
    {%- set lead, turns = messages[0]['content'] + '\\n\\n', messages[1:] %}
{%- else %}
    {%- set lead, turns = '', messages %}
{%- endif %}
{{- bos_token }}
{%- for turn in turns %}
    {%- if (turn['role'] == 'user') != (loop.index0 is even) %}
        {{- raise_exception('user and assistant must take turns') }}
    {%- endif %}
    {%- if turn['role'] == 'user' %}
        {{- '[INST] ' + (lead if loop.first else '') + turn['content'] + ' [/INST]' }}
    {%- elif turn['role'] == 'assistant' %}
        {{- ' ' + turn['content'] | trim + eos_token }}
    {%- else %}
        {{- raise_exception('only user and assistant are known') }}
    {%- endif %}
{%- endfor %}
"""


@dataclass(frozen=True)
class ChatModel:
    """What it is made of; `pre` names the pre-tokenizer, "" where spaces become ▁ as in SentencePiece."""

    name: str
    template: str
    pre: str
    adds_bos: bool
    tools: bool
    config: dict[str, Any]

    def write(self, folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        self._tokenizer().save(str(folder / "tokenizer.json"))
        config = {"tokenizer_class": "Made", **self.config, "chat_template": self.template}
        (folder / "tokenizer_config.json").write_bytes(msgspec.json.encode(config))
        return folder

    def _tokenizer(self) -> Tokenizer:
        tokenizer = _byte_level(byte_level(), self.pre) if self.pre else _sentence_piece(sentence_piece())
        tokenizer.add_special_tokens([AddedToken(text, normalized=False, special=True) for text in SPECIALS])
        tokenizer.add_tokens([AddedToken(text, normalized=False) for text in ("<think>", "</think>")])
        if self.adds_bos:
            tokenizer.post_processor = processors.TemplateProcessing("<s> $A", None, [("<s>", 0)])
        tokenizer.enable_truncation(100)  # as files of embedding models come
        return tokenizer


def _byte_level(vocabulary: Vocabulary, pre: str) -> Tokenizer:
    numbers = {text: number for number, text in enumerate(vocabulary.tokens)}
    merges = [(left, right) for left, _, right in (merge.partition(" ") for merge in vocabulary.merges)]
    tokenizer = Tokenizer(models.BPE(vocab=numbers, merges=merges, ignore_merges=True))
    splits = [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in SPLITS[pre]]
    to_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*splits, to_bytes])
    tokenizer.normalizer = normalizers.NFC()
    return tokenizer


def _sentence_piece(vocabulary: Vocabulary) -> Tokenizer:
    numbers = {text: number for number, text in enumerate(vocabulary.tokens)}
    merges = [
        (text[:at], text[at:])
        for text in vocabulary.tokens
        for at in range(1, len(text))
        if not text.startswith("<") and text[:at] in numbers and text[at:] in numbers
    ]
    model = models.BPE(vocab=numbers, merges=merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend(SPACE), normalizers.Replace(" ", SPACE)])
    return tokenizer


LLAMA_LIKE = ChatModel(
    "llama-like", HEADED, "llama-bpe", adds_bos=True, tools=True, config={"bos_token": "<s>", "eos_token": "<|done|>"}
)
QWEN_LIKE = ChatModel(
    "qwen-like",
    MARKED,
    "qwen2",
    adds_bos=False,
    tools=True,
    config={"bos_token": None, "eos_token": "<|im_end|>", "add_bos_token": False},
)
MISTRAL_LIKE = ChatModel(
    "mistral-like",
    BRACKETED,
    "",
    adds_bos=True,
    tools=False,
    config={"bos_token": {"content": "<s>", "special": True}, "eos_token": "</s>", "add_bos_token": True},
)
CHAT_MODELS = [LLAMA_LIKE, QWEN_LIKE, MISTRAL_LIKE]
