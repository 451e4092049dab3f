"""How requests wait for a place on a replica: how many, how long, and what one replica takes at a time."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from engines.api import Capacity
from engines.units import Seconds
from gateway.config.sections import Section
from gateway.config.values import Bytes

MOST_TOKENS = 10**9
"""That anybody can mean for one replica: what is more is a mistake."""


class StartWithin(Section):
    """How long a request of each class may wait for its start, before what its prompt takes by its length."""

    critical: Seconds = Field(1.0, description="Of tenants with a priority above 0.")
    standard: Seconds = Field(2.0, description="Of tenants with the priority 0, and of those who have no key.")
    batch: Seconds = Field(10.0, description="Of tenants with a priority below 0.")


class Admission(Section):
    """The queue in front of each version: short, because what can't start in time is better refused at once."""

    queue: int = Field(2000, ge=0, le=100_000, description="Requests that may wait for one version; beyond it 503.")
    queue_bytes: Bytes = Field(256 * 1024 * 1024, description="Their bodies together; beyond it 503.")
    tenant_share: float = Field(0.25, gt=0, le=1, description="How much of a queue one tenant may take up, of 1.")
    start_within: StartWithin = Field(
        StartWithin(),
        description="How long a request of each class may wait for its start; one that can't make it is refused at "
        "once with 503.",
    )
    costs: Path | None = Field(
        None,
        description="File in which what was learned of requests' costs is kept for the next start; it names tenants.",
    )


class OwnStartWithin(Section):
    """What of it differs for one version."""

    critical: Seconds | None = Field(None, description="In place of admission.start_within.critical.")
    standard: Seconds | None = Field(None, description="In place of admission.start_within.standard.")
    batch: Seconds | None = Field(None, description="In place of admission.start_within.batch.")

    def over(self, general: tuple[float, float, float]) -> tuple[float, float, float]:
        """Seconds by class, the most urgent first: its own, and `general` where it says nothing."""
        critical, standard, batch = general
        return self.critical or critical, self.standard or standard, self.batch or batch


class ReplicaLimits(Section):
    """What one replica may have at a time, in place of what its engine says it takes."""

    requests: int | None = Field(None, ge=1, le=1_000_000, description="Requests that are under way.")
    prompt_tokens: int | None = Field(
        None, ge=1, le=MOST_TOKENS, description="Prompt tokens of requests without a first content yet."
    )
    kv_tokens: int | None = Field(
        None, ge=1, le=MOST_TOKENS, description="Tokens of prompts and expected answers under way."
    )

    @property
    def capacity(self) -> Capacity:
        return Capacity(self.requests, self.prompt_tokens, self.kv_tokens)
