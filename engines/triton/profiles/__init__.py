"""How to talk to each kind of model: `PROFILES` lists what a configuration may name, `detect` finds out by itself."""

from __future__ import annotations

from collections.abc import Mapping

from engines.triton.profiles.api import ModelFacts, ProfileFactory
from engines.triton.profiles.bls import Bls
from engines.triton.profiles.ensemble import Ensemble
from engines.triton.profiles.generic import generic
from engines.triton.profiles.llmapi import LlmApi

PROFILES: Mapping[str, ProfileFactory] = {
    "llmapi": LlmApi,
    "ensemble": Ensemble,
    "bls": Bls,
    "generic": generic,
}


def detect(facts: ModelFacts) -> str:
    """The name of the profile that fits what the model's config says."""
    if any(name.startswith("sampling_param_") for name in facts.inputs):
        return "llmapi"
    if not {"text_input", "max_tokens"} <= facts.inputs.keys():
        return "generic"
    if facts.platform == "ensemble":
        return "ensemble"
    return "bls" if facts.backend == "python" else "generic"
