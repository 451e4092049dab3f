"""What is known of the model behind a replica, from its config and the options: how to talk to it, what it takes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import NamedTuple, Self

from engines.api import EngineError, Failed, Unreachable
from engines.generating.errors import refused
from engines.generating.limits import Limits
from engines.grpc.api import Code, RpcError
from engines.triton.limits import at_a_time, told
from engines.triton.options import TritonOptions
from engines.triton.profiles import PROFILES, detect
from engines.triton.profiles.api import Adapter, ModelFacts, Profile, TensorMap
from engines.triton.repository import Repository

BLS_CALLS = "tensorrt_llm_model_name"
"""The parameter by which `tensorrt_llm_bls` knows the model that it calls for tokens, and that model's usual name."""
USUAL = "tensorrt_llm"


class Model(NamedTuple):
    """One loaded model."""

    profile: Profile
    adapted: Mapping[str, Profile]
    """The same with each of the adapters, by its name."""
    limits: Limits
    at_a_time: int | None
    """Requests before others wait in Triton, as far as configs tell."""
    generates: str
    """The model that makes the text: itself, or the one inside."""

    @classmethod
    async def read(cls, repository: Repository, name: str, options: TritonOptions) -> Self:
        """`name` is Triton's. Raises EngineError; for a model that fits no profile, Failed with the reason."""
        try:
            facts = await repository.facts(name, options.version)
            kind = _kind(facts, options)
            parts = [part async for part in _parts(repository, facts, kind)]
            profile = PROFILES[kind](facts, None, options.tensors)
            adapters = [Adapter(one.name, one.id, one.path) for one in options.adapters]
            adapted = {adapter.name: PROFILES[kind](facts, adapter, options.tensors) for adapter in adapters}
        except RpcError as error:
            raise unanswered(error) from None
        except ValueError as error:
            # What is wrong is for the operator: `probe` tells it, the client does not learn what the server holds.
            raise Failed("The model on the server is not of the configured kind.") from error
        generates = next(
            (part.name for part in parts if part.name == USUAL or part.backend == "tensorrtllm"), facts.name
        )
        limits = told([facts, *parts], options.limits.made())
        return cls(profile, adapted, limits, at_a_time(profile, facts), generates)


def _kind(facts: ModelFacts, options: TritonOptions) -> str:
    """The name of its profile. Raises ValueError where only one of two options makes a generic one of a known kind."""
    found = detect(facts)
    if options.profile not in ("auto", "generic"):
        return options.profile
    if found != "generic" and (options.tensors != TensorMap()) != (options.profile == "generic"):
        raise ValueError(f"The model '{facts.name}' is of the kind {found}; as generic it needs profile and tensors.")
    return found if options.profile == "auto" else "generic"


async def _parts(repository: Repository, facts: ModelFacts, profile: str) -> AsyncIterator[ModelFacts]:
    """The models behind this one, whose configs tell its limits, too."""
    for step in facts.steps:
        yield await repository.facts(step)
    if profile == "bls":
        told = facts.parameters.get(BLS_CALLS, "").strip()
        try:
            yield await repository.facts(USUAL if not told or "$" in told else told)
        except RpcError as error:  # only an ensemble's parts are known for sure
            if error.code is not Code.NOT_FOUND:
                raise


def unanswered(error: RpcError) -> EngineError:
    """One of our own small questions failed."""
    if error.code is Code.DEADLINE_EXCEEDED:
        return Unreachable("The model server did not answer in time.")
    return refused(error, "chat", 0)
