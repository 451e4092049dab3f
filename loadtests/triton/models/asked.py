"""A request as a model in Triton's stub sees it: its tensors by name, and the texts and numbers in them."""

from __future__ import annotations

import json
from typing import Any


class Asked:
    """One request. `tensors`: numpy arrays by name, exactly those that were sent."""

    def __init__(self, request: Any) -> None:
        self.request = request
        self.id: str = request.request_id()
        self.tensors: dict[str, Any] = {tensor.name(): tensor.as_numpy() for tensor in request.inputs()}

    def __repr__(self) -> str:
        return f"<Asked {self.id!r} {', '.join(self.tensors)}>"

    def many(self, name: str) -> list[Any]:
        """All values of a tensor, flat; none if it was not sent. Texts are bytes."""
        array = self.tensors.get(name)
        return [] if array is None else array.reshape(-1).tolist()

    def one(self, name: str, default: Any = None) -> Any:
        """The first value of a tensor."""
        return next(iter(self.many(name)), default)

    def for_journal(self) -> dict[str, Any]:
        """What `journal.Entry` tells of a request."""
        return {
            "inputs": {name: [_legible(value) for value in self.many(name)] for name in self.tensors},
            "shapes": {name: list(array.shape) for name, array in self.tensors.items()},
            "outputs": sorted(self.request.requested_output_names()),
            "parameters": json.loads(self.request.parameters() or "{}"),
        }


def _legible(value: Any) -> Any:
    return value.decode(errors="replace") if isinstance(value, bytes) else value
