"""Every route of the admin listener, with a request that it takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gateway.admin.roles import ADMIN, OPERATOR, VIEWER


@dataclass(slots=True, frozen=True)
class Route:
    """`path` as documented; what stands in braces is to be filled in. `least`: the role it takes.

    `stored`: whether the database has to be asked for it.
    """

    method: str
    path: str
    least: str
    body: Any = None
    status: int = 200
    stored: bool = True

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    def at(self, key_id: str = "000000000000", name: str = "acme", request_id: str = "req_0") -> str:
        return self.path.format(
            key_id=key_id, name=name, request_id=request_id, model="mock", version="1", replica="mock-0", plan="silver"
        )


SHOWN = ("whoami", "models", "replicas", "queues", "config", "events")

ROUTES = [
    *(Route("GET", f"/v1/{it}", VIEWER, stored=False) for it in SHOWN),
    Route("GET", "/v1/requests/{request_id}", VIEWER, stored=False),
    Route("GET", "/v1/audit", VIEWER),
    Route("GET", "/v1/usage", VIEWER),
    Route("GET", "/v1/usage/requests", VIEWER),
    Route("GET", "/v1/tenants", VIEWER),
    Route("GET", "/v1/tenants/{name}", VIEWER),
    Route("GET", "/v1/keys", VIEWER),
    Route("GET", "/v1/keys/{key_id}", VIEWER),
    Route("GET", "/v1/limits/{name}", VIEWER),
    Route("POST", "/v1/tenants", OPERATOR, {"name": "new"}, 201),
    Route("PATCH", "/v1/tenants/{name}", OPERATOR, {"weight": 2}),
    Route("GET", "/v1/plans", VIEWER),
    Route("PUT", "/v1/plans/{plan}", OPERATOR, {"key": {"requests_per_minute": 100_000}}),
    Route("GET", "/v1/plans/{plan}", VIEWER),  # behind what sets it
    Route("DELETE", "/v1/plans/{plan}", OPERATOR),
    Route("GET", "/v1/overrides", VIEWER, stored=False),
    Route("PUT", "/v1/overrides/tenants/{name}", OPERATOR, {"key": {"requests_per_minute": 100_000}}),
    Route("GET", "/v1/overrides/tenants/{name}", VIEWER, stored=False),  # behind what sets it
    Route("DELETE", "/v1/overrides/tenants/{name}", OPERATOR),
    Route("PUT", "/v1/overrides/keys/{key_id}", OPERATOR, {"requests_per_minute": 100_000}),
    Route("GET", "/v1/overrides/keys/{key_id}", VIEWER, stored=False),
    Route("DELETE", "/v1/overrides/keys/{key_id}", OPERATOR),
    Route("POST", "/v1/keys", OPERATOR, {"tenant": "acme"}, 201),
    Route("POST", "/v1/keys/{key_id}/revoke", OPERATOR),
    Route("POST", "/v1/keys/{key_id}/rotate", OPERATOR, {"overlap": 60}, 201),
    Route("PUT", "/v1/models/{model}/weights", OPERATOR, {"1": 5}),
    Route("DELETE", "/v1/models/{model}/weights", OPERATOR),
    Route("PUT", "/v1/models/{model}/versions/{version}", ADMIN, {"engine": "scripted"}),
    Route("DELETE", "/v1/models/{model}/versions/{version}", ADMIN),
    Route("POST", "/v1/models/{model}/versions/{version}/drain", OPERATOR),
    Route("POST", "/v1/models/{model}/versions/{version}/restore", OPERATOR),
    Route("POST", "/v1/replicas/{replica}/drain", OPERATOR),
    Route("POST", "/v1/replicas/{replica}/eject", OPERATOR, {"seconds": 0.001}),
    Route("POST", "/v1/replicas/{replica}/restore", OPERATOR, stored=False),  # where there is nothing to restore
    Route("POST", "/v1/reload", OPERATOR, None, 409, stored=False),  # the gateways of tests have no file
]
