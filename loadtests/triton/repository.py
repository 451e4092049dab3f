"""Lays out a Triton model repository: for each model a configuration from a template, and a few lines that load it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from string import Template

_SOURCE = Path(__file__).parent / "models"
_ROOT = Path(__file__).resolve().parents[2]
_LOADER = """import sys

sys.path.insert(0, {root!r})
from {module} import TritonPythonModel
"""
# Triton's stub names the interpreter after the first python3 on PATH and ignores PYTHONPATH: hence the line above.


@dataclass(frozen=True)
class Model:
    """`template`: the file `models/NAME.pbtxt`. `module`: the one beside it that answers; None: Triton itself does."""

    template: str
    module: str | None
    values: Mapping[str, str] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    """Models that Triton does not load by itself with this one."""


_STEPS = ("preprocessing", "tensorrt_llm", "postprocessing")
_BLS = {"accumulate_tokens": "false", "instances": "2", "max_queue_size": "0"}

MODELS: Mapping[str, Model] = {
    "smollm2": Model("llmapi", "smollm2", {"decoupled": "true"}),
    "llmapi": Model("llmapi", "llmapi", {"decoupled": "true"}),
    "llmapi_next": Model("llmapi", "llmapi", {"decoupled": "true"}),
    "llmapi_unary": Model("llmapi", "llmapi", {"decoupled": "false"}),
    "ensemble": Model("ensemble", None),
    "preprocessing": Model("preprocessing", "preprocessing"),
    "tensorrt_llm": Model("tensorrt_llm", "tensorrt_llm"),
    "postprocessing": Model("postprocessing", "postprocessing"),
    "tensorrt_llm_bls": Model("bls", "bls", _BLS, _STEPS),
    "bls_accumulating": Model("bls", "bls", _BLS | {"accumulate_tokens": "true"}, _STEPS),
    "bls_bounded": Model("bls", "bls", _BLS | {"instances": "1", "max_queue_size": "2"}, _STEPS),
    "generic": Model("generic", "generic", {"decoupled": "true"}),
    "generic_unary": Model("generic", "generic", {"decoupled": "false"}),
    "embedder": Model("embedder", "embedder"),
}
"""By the name that clients use. Those of one template differ in how the server's owner has set them up."""


def lay_out(folder: Path, names: Iterable[str] = MODELS) -> None:
    """Write the models' folders into `folder`, which Triton then takes as its model repository."""
    for name in names:
        model = MODELS[name]
        version = folder / name / "1"
        version.mkdir(parents=True, exist_ok=True)
        template = Template((_SOURCE / f"{model.template}.pbtxt").read_text())
        (folder / name / "config.pbtxt").write_text(template.substitute(model.values))
        if model.module:
            loader = _LOADER.format(root=str(_ROOT), module=f"loadtests.triton.models.{model.module}")
            (version / "model.py").write_text(loader)
