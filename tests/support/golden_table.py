"""The golden table of tests/golden/triton.yaml: models, requests, what each becomes, and its page in the guide."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec
import yaml

from engines.api import Call, Kind
from engines.generating.texts import texts
from engines.text.asked import Asked
from engines.triton.profiles import PROFILES
from engines.triton.profiles.api import Adapter, ModelFacts, Profile, TensorMap
from engines.triton.tensors import Declared, Tensor
from tests.architecture.tree import ROOT
from tests.support.guide_tables import write_guide

GUIDE = ROOT / "docs" / "guides" / "triton.md"
SEED = 7
COLUMNS = ("llmapi", "ensemble", "bls", "generic")
TABLE: dict[str, Any] = yaml.safe_load((ROOT / "tests" / "golden" / "triton.yaml").read_text())

_BASES: dict[Kind, dict[str, Any]] = {
    "chat": {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 16},
    "completion": {"prompt": "hi", "max_tokens": 16},
    "embedding": {"input": "hi"},
}

Content = dict[str, Tensor]


class Case(NamedTuple):
    """One cell: what `model` makes of the members `ask`: these tensors, or a refusal (param, code)."""

    model: str
    kind: Kind
    ask: dict[str, Any]
    tensors: Content
    refusal: tuple[str, str] | None


def facts(model: str) -> ModelFacts:
    """The config of one of the table's models."""
    told = TABLE["models"][model]
    return ModelFacts(
        name=model,
        platform=told["platform"],
        backend=told["backend"],
        max_batch_size=told["max_batch_size"],
        decoupled=told["decoupled"],
        inputs={name: _declared(*it) for name, it in told["inputs"].items()},
        outputs={name: _declared(*it) for name, it in told["outputs"].items()},
    )


def profile(model: str, adapter: Adapter | None = None) -> Profile:
    told = TABLE["models"][model].get("map")
    name = "generic" if model == "embedding" else model
    return PROFILES[name](facts(model), adapter, None if told is None else TensorMap(**told))


def sent(profile: Profile, asked: Asked) -> list[Tensor]:
    """What is sent for the first text of a request, with `SEED` where one is drawn; its prompt is "hi"."""
    prompts = ["hi"] * max(1, len(asked.prompts))
    first, *_ = texts(asked, prompts, (lambda: SEED) if profile.seeded else None)
    return profile.tensors(first.asked, first.prompt)


def call(kind: Kind, **members: Any) -> Call:
    """A call as an engine gets it: of 16 tokens unless another cap is among the members."""
    base = {"model": "m"} | _BASES[kind]
    fields = {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in (base | members).items()}
    return Call("id", kind, fields, "m", stream=members.get("stream") is True, show_usage=False, deadline=0.0)


def cases() -> Iterator[tuple[str, Case]]:
    """Every cell of the table, named."""
    for row in TABLE["rows"]:
        for model in COLUMNS:
            yield f"{row['parameter']} {model}", _case(row, model, row.get("kind", "chat"))
    for row in TABLE["embeddings"]:
        yield f"{row['parameter']} embedding", _case(row, "embedding", "embedding")


def rendered() -> str:
    """What has to stand in the guide."""
    lines = ["", f"| parameter | {' | '.join(COLUMNS)} |", "|---|" + "---|" * len(COLUMNS)]
    lines += [_line(row, COLUMNS) for row in TABLE["rows"]]
    lines += ["", "| embeddings | generic |", "|---|---|"]
    lines += [_line(row, ("embedding",)) for row in TABLE["embeddings"]]
    return "\n".join([*lines, "", ""])


def _declared(datatype: str, dims: list[int], required: str = "") -> Declared:
    return Declared(datatype, tuple(dims), optional=not required)


def _of(row: dict[str, Any], model: str) -> dict[str, Any]:
    """The cell of a model; ensemble and bls may have one together."""
    cell: dict[str, Any] = row[model] if model in row else row["legacy"]
    return cell


def _case(row: dict[str, Any], model: str, kind: Kind) -> Case:
    cell = _of(row, model)
    if "refused" in cell:
        refused = cell["refused"]
        refusal = (refused, "unsupported_parameter") if isinstance(refused, str) else (refused[0], refused[1])
        return Case(model, kind, row["ask"], {}, refusal)
    sent = _of(TABLE["always"], model) | cell
    return Case(model, kind, row["ask"], {name: _tensor(name, *it) for name, it in sent.items()}, None)


def _tensor(name: str, datatype: str, shape: list[int], content: str | list[str]) -> Tensor:
    if isinstance(content, str):
        return Tensor(name, datatype, tuple(shape), bytes.fromhex(content))
    texts = [text.encode() for text in content]
    return Tensor(name, datatype, tuple(shape), b"".join(len(text).to_bytes(4, "little") + text for text in texts))


def _line(row: dict[str, Any], models: tuple[str, ...]) -> str:
    return " | ".join([f"| {row['parameter']}", *(_words(row, _of(row, model)) for model in models)]) + " |"


def _words(row: dict[str, Any], cell: dict[str, Any]) -> str:
    if "refused" in cell:
        return "400"
    names = ", ".join(f"`{name}`" for name in cell) or row["else"]
    return f"{row['also']} {names}" if "also" in row else names


if __name__ == "__main__":
    write_guide(GUIDE, rendered())
