"""What is read from a model's folder, in every spelling that folders come in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from engines.text.model_files import read
from engines.text.templates import ChatTemplate, NoTemplate
from engines.text.tokens import Tokenizer
from tests.support.chat_models import LLAMA_LIKE, MISTRAL_LIKE, QWEN_LIKE
from tests.support.vocabularies import SPECIALS

HELLO = [{"role": "user", "content": "Hello"}]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return LLAMA_LIKE.write(tmp_path)


def configure(folder: Path, **members: Any) -> None:
    (folder / "tokenizer_config.json").write_bytes(msgspec.json.encode(members))


def test_a_folder_and_the_file_in_it_are_the_same(folder: Path) -> None:
    for path in (folder, folder / "tokenizer.json"):
        files = read(path)
        assert (files.bos, files.eos) == ("<s>", "<|done|>")
        assert files.control == set(SPECIALS), "<think> stands for text"
        assert [*files.templates] == ["default"]
        assert repr(Tokenizer.load(path)).endswith("bos '<s>' added · eos '<|done|>'>")


def test_without_a_configuration_the_bos_is_what_the_tokenizer_adds(folder: Path) -> None:
    (folder / "tokenizer_config.json").unlink()
    tokenizer = Tokenizer.load(folder)
    assert (tokenizer.bos, tokenizer.adds_bos, tokenizer.eos) == ("<s>", True, "")
    with pytest.raises(NoTemplate):
        ChatTemplate.load(folder)


@pytest.mark.parametrize(
    ("config", "ids"),
    [
        ({"bos_token": "<s>"}, 2),
        ({"bos_token": {"content": "<s>", "lstrip": False}, "add_bos_token": True}, 2),
        ({"bos_token": "<s>", "add_bos_token": False}, 1),
        ({"bos_token": "<s>", "eos_token": "</s>", "add_eos_token": True}, 3),
        ({"bos_token": None}, 2),
    ],
)
def test_the_configuration_says_what_is_added(config: dict[str, Any], ids: int, folder: Path) -> None:
    configure(folder, **config)
    assert Tokenizer.load(folder).count("a") == ids


def test_a_tokenizer_that_adds_none_may_be_told_to(tmp_path: Path) -> None:
    configure(QWEN_LIKE.write(tmp_path), bos_token="<s>", add_bos_token=True)
    tokenizer = Tokenizer.load(tmp_path)
    assert tokenizer.count("a") == 2
    assert tokenizer.sendable("<s><s>a") == "a"


def test_tokens_that_only_the_configuration_has_are_tokens(folder: Path) -> None:
    before = Tokenizer.load(folder)
    late = {"9000": {"content": "<|late|>", "special": True}, "9001": {"content": "<late>", "special": False}}
    configure(folder, bos_token="<s>", added_tokens_decoder=late)
    tokenizer = Tokenizer.load(folder)
    assert tokenizer.count("<|late|><late>") == 3 < before.count("<|late|><late>")
    assert "<|late|>" in tokenizer.control
    assert "<late>" not in tokenizer.control


def test_named_templates_come_from_the_configuration_and_from_files(folder: Path) -> None:
    named = [{"name": "default", "template": "old"}, {"name": "rag", "template": "rag"}]
    configure(folder, chat_template=named)
    (folder / "additional_chat_templates").mkdir()
    (folder / "additional_chat_templates" / "tool_use.jinja").write_text("uses {{ tools[0].function.name }}")
    (folder / "chat_template.jinja").write_text("new")
    assert read(folder).templates == {"default": "new", "rag": "rag", "tool_use": "uses {{ tools[0].function.name }}"}
    template = ChatTemplate.load(folder)
    assert template.renders_tools
    assert template.render(HELLO) == "new"
    assert template.render(HELLO, tools=[{"function": {"name": "x"}}]) == "uses x"


def test_a_template_of_its_own_takes_the_tokens_of_a_tokenizer(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.jinja"
    path.write_text("{{ bos_token }}{{ messages[0].content }}{{ eos_token }}")
    said = [{"role": "user", "content": "</s>"}]
    assert ChatTemplate.load(path, tokenizer=Tokenizer.load(folder)).render(said) == "<s><\u200b/s><|done|>"
    assert ChatTemplate.load(path).render(said) == "</s>"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("tokenizer.json", b"{"),
        ("tokenizer.json", b"[]"),
        ("tokenizer.json", b'{"model": {"type": "Unheard"}}'),
        ("tokenizer.json", b'{"model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "<unk>"}}'),
        ("tokenizer_config.json", b'{"bos_token": 1}'),
        ("tokenizer_config.json", b"\xff"),
        ("chat_template.jinja", b"\xff"),
    ],
)
def test_a_broken_file_is_a_value_error_that_names_the_folder(name: str, content: bytes, folder: Path) -> None:
    (folder / name).write_bytes(content)
    with pytest.raises(ValueError, match=str(folder)):
        Tokenizer.load(folder)


def test_a_template_that_is_no_jinja_is_no_missing_one(folder: Path) -> None:
    (folder / "chat_template.jinja").write_text("{% for %}")
    with pytest.raises(ValueError, match=f"{folder}: The chat template cannot be used") as caught:
        ChatTemplate.load(folder)
    assert not isinstance(caught.value, NoTemplate)


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "model.gguf"):
        with pytest.raises(ValueError, match="neither a folder"):
            Tokenizer.load(path)


def test_what_is_cut_off_in_the_file_is_counted(tmp_path: Path) -> None:
    tokenizer = Tokenizer.load(MISTRAL_LIKE.write(tmp_path))
    assert tokenizer.count("\x00" * 500) >= 500, "the file says that texts end after 100 tokens"
