"""What is known of the model behind a replica, from its config and the options: how to talk to it, what it takes."""

from __future__ import annotations

import contextlib
from typing import NamedTuple, Self

from engines.api import EngineError, Failed, Unreachable
from engines.grpc.api import Code, RpcError
from engines.triton.errors import refused
from engines.triton.limits import Limits
from engines.triton.options import TritonOptions
from engines.triton.profiles import PROFILES, detect
from engines.triton.profiles.api import Profile
from engines.triton.repository import Repository

ENGINE = "tensorrt_llm"
"""The model inside NVIDIA's `ensemble` and `tensorrt_llm_bls`, whose config tells their limits."""


class Model(NamedTuple):
    """One loaded model."""

    profile: Profile
    limits: Limits

    @classmethod
    async def read(cls, repository: Repository, options: TritonOptions) -> Self:
        """Raises EngineError; for a model that fits no profile, Failed with the reason."""
        try:
            facts = [await repository.facts(options.model, options.version)]
        except RpcError as error:
            raise unanswered(error) from None
        name = detect(facts[0]) if options.profile == "auto" else options.profile
        if name in ("ensemble", "bls"):
            with contextlib.suppress(RpcError):  # it may be called otherwise
                facts.append(await repository.facts(options.cancel.stop_model or ENGINE))
        try:
            adapter = options.adapter.made() if options.adapter else None
            profile = PROFILES[name](facts[0], adapter, options.tensors)
        except ValueError as error:
            raise Failed(f"The model on the server does not fit the profile {name}: {error}") from None
        return cls(profile, Limits.of(facts, options.limits.made()))


def unanswered(error: RpcError) -> EngineError:
    """One of our own small questions failed."""
    if error.code is Code.DEADLINE_EXCEEDED:
        return Unreachable("The model server did not answer in time.")
    return refused(error, "chat", 0)
