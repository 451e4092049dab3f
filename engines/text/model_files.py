"""What the files of a model say of its text: special tokens, chat templates, and how to build its tokenizer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from engines.text.gguf import read_metadata
from engines.text.gguf_tokens import adds_bos, build, control_tokens

if TYPE_CHECKING:
    from tokenizers import Tokenizer

TEMPLATE_KEY = "tokenizer.chat_template"


@dataclass(slots=True, frozen=True)
class ModelFiles:
    """Texts are "" where a model has no such token; `adds_*` are None where only the tokenizer itself can tell.

    `control` are the tokens that steer a model and stand for no text of their own. `templates` are Jinja sources by
    name; the one that is used when nothing speaks for another is named "default".
    """

    build: Callable[[], Tokenizer]
    bos: str
    eos: str
    control: frozenset[str]
    templates: Mapping[str, str]
    adds_bos: bool | None
    adds_eos: bool | None


def read(path: Path) -> ModelFiles:
    """`path` is a folder with a tokenizer.json, such a file, or a .gguf. Raises ValueError naming the file, OSError."""
    file = path / "tokenizer.json" if path.is_dir() else path
    if not file.is_file():
        raise ValueError(f"{path} is neither a folder with a tokenizer.json nor such a file nor a GGUF file.")
    try:
        return _of_gguf(file) if file.suffix == ".gguf" else _of_folder(file)
    except (ValueError, KeyError, IndexError, TypeError) as error:  # msgspec's errors are ValueErrors
        what = f"has no {error}" if isinstance(error, KeyError) else f"cannot be used: {error}"
        raise ValueError(f"{file} {what}") from error


def _of_gguf(file: Path) -> ModelFiles:
    metadata = read_metadata(file)
    tokens: list[str] = metadata["tokenizer.ggml.tokens"]

    def named(key: str) -> str:
        number = metadata.get(f"tokenizer.ggml.{key}_token_id")
        return "" if number is None else tokens[number]

    return ModelFiles(
        build=partial(build, metadata),
        bos=named("bos"),
        eos=named("eos"),
        control=control_tokens(metadata),
        templates={
            key.removeprefix(TEMPLATE_KEY).lstrip(".") or "default": source
            for key, source in metadata.items()
            if key.startswith(TEMPLATE_KEY) and isinstance(source, str)
        },
        adds_bos=adds_bos(metadata),
        adds_eos=bool(metadata.get("tokenizer.ggml.add_eos_token", False)),
    )


class _Token(msgspec.Struct):
    content: str
    special: bool = False


class _Vocabulary(msgspec.Struct):
    added_tokens: list[_Token] = []


class _Named(msgspec.Struct):
    name: str
    template: str


class _Config(msgspec.Struct):
    bos_token: str | _Token | None = None
    eos_token: str | _Token | None = None
    add_bos_token: bool | None = None
    add_eos_token: bool | None = None
    added_tokens_decoder: dict[str, _Token] = {}
    chat_template: str | list[_Named] | None = None


def _of_folder(file: Path) -> ModelFiles:
    config_file = file.parent / "tokenizer_config.json"
    config = msgspec.json.decode(config_file.read_bytes(), type=_Config) if config_file.is_file() else _Config()
    listed = msgspec.json.decode(file.read_bytes(), type=_Vocabulary).added_tokens
    late = list(config.added_tokens_decoder.values())
    return ModelFiles(
        build=partial(_build, file, late),
        bos=_text(config.bos_token),
        eos=_text(config.eos_token),
        control=frozenset(token.content for token in [*listed, *late] if token.special),
        templates=_templates(file.parent, config),
        adds_bos=config.add_bos_token,
        adds_eos=config.add_eos_token,
    )


def _build(file: Path, late: list[_Token]) -> Tokenizer:
    """Tokens that only the configuration has are added, as its readers do; cutting and filling up are switched off."""
    from tokenizers import AddedToken, Tokenizer

    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    known = {token.content for token in tokenizer.get_added_tokens_decoder().values()}
    for token in late:
        if token.content not in known:
            add = tokenizer.add_special_tokens if token.special else tokenizer.add_tokens
            add([AddedToken(token.content, normalized=False, special=token.special)])
    return tokenizer


def _text(token: str | _Token | None) -> str:
    return token.content if isinstance(token, _Token) else token or ""


def _templates(folder: Path, config: _Config) -> dict[str, str]:
    """Files of their own go before what the configuration holds, as newer writers leave both."""
    inside = config.chat_template
    found = {each.name: each.template for each in inside} if isinstance(inside, list) else {}
    if isinstance(inside, str):
        found["default"] = inside
    for source in sorted((folder / "additional_chat_templates").glob("*.jinja")):
        found[source.stem] = source.read_text(encoding="utf-8")
    if (alone := folder / "chat_template.jinja").is_file():
        found["default"] = alone.read_text(encoding="utf-8")
    return found
