"""How long prompts and answers may be, and how many at a time, as the configs of models on Triton say."""

from __future__ import annotations

from collections.abc import Iterable

from engines.generating.limits import Limits
from engines.triton.profiles.api import ModelFacts, Profile


def told(facts: Iterable[ModelFacts], override: Limits | None = None) -> Limits:
    """The narrowest of what these models' configs say: of an ensemble, itself and its steps.

    What `override` says counts instead. A parameter that is no positive number says nothing.
    """
    sequences: list[int] = []
    prompts: list[int] = []
    for model in facts:
        sequences += _number(model, "max_seq_len")
        prompts += _number(model, "max_input_len")
        if model.parameters.get("enable_chunked_context", "").strip().lower() not in ("true", "1"):
            prompts += _number(model, "max_num_tokens")
    override = override or Limits()
    return Limits(
        override.sequence or min(sequences, default=None),
        override.prompt or min(prompts, default=None),
        override.policy,
    )


def at_a_time(profile: Profile, facts: ModelFacts) -> int | None:
    """Requests that a model executes before others wait in Triton; None where its config does not tell.

    A BLS model, or a generic one that answers once, has an instance blocked by what it executes. Other models take
    requests in as they come, whatever their config says. Embeddings are so short that the next batch should wait there.
    """
    if profile.name == "bls":
        return facts.instances or None
    if profile.name != "generic" or facts.decoupled or profile.embeds:
        return None
    return facts.instances * max(1, facts.max_batch_size if facts.batches else 1) or None


def _number(facts: ModelFacts, name: str) -> list[int]:
    """The number, if there is one: configs hold what was left of their templates too, such as `${max_num_tokens}`."""
    text = facts.parameters.get(name, "").strip()
    return [int(text)] if text.isascii() and text.isdigit() and len(text) < 10 and int(text) > 0 else []
