"""Which models of a contract a server has at the moment, and in what state, as one loads and unloads them."""

from __future__ import annotations

from typing import Literal

from loadtests.fleet.triton.contracts import VERSION, Contract, Model
from loadtests.fleet.triton.requests import Refused

State = Literal["READY", "UNLOADING", "UNAVAILABLE"]


class Repository:
    """All models are ready in the beginning."""

    def __init__(self, contract: Contract) -> None:
        self.contract = contract
        self.states: dict[str, State] = dict.fromkeys(contract.models, "READY")

    def __repr__(self) -> str:
        return f"<Repository {' '.join(f'{name}={state}' for name, state in self.states.items())}>"

    @property
    def settled(self) -> bool:
        """No model comes or goes: while one does, the whole server says that it is not ready."""
        return "UNLOADING" not in self.states.values()

    def known(self, name: str, version: str = "") -> Model:
        """A model that is ready, or `Refused`."""
        model = self.contract.models.get(name)
        if model is None:
            raise Refused(f"Request for unknown model: '{name}' is not found")
        if self.states[name] != "READY":
            raise Refused(f"Request for unknown model: '{name}' has no available versions")
        if version not in {"", VERSION}:
            raise Refused(f"Request for unknown model: '{name}' version {version} is not found")
        return model

    def ready(self, name: str, version: str = "") -> bool:
        return self.states.get(name) == "READY" and version in {"", VERSION}

    def load(self, name: str) -> None:
        """Raises `KeyError`. An ensemble brings the models it is composed of."""
        for one in (*self.contract.models[name].steps, name):
            self.states[one] = "READY"

    def unload(self, name: str, *, busy: bool) -> None:
        """Raises `KeyError`. New requests are refused from now on; a busy model stays until `idle` is told."""
        if self.states[name] == "READY":
            self.states[name] = "UNLOADING" if busy else "UNAVAILABLE"

    def idle(self, name: str) -> None:
        """The last running request of a model has ended."""
        if self.states[name] == "UNLOADING":
            self.states[name] = "UNAVAILABLE"

    def reset(self) -> None:
        self.states = dict.fromkeys(self.contract.models, "READY")
