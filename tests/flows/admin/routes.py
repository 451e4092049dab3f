"""Every route of the admin listener, with a request that it takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gateway.admin.roles import OPERATOR, VIEWER


@dataclass(slots=True, frozen=True)
class Route:
    """`path` as documented; `{name}` and `{key_id}` are to be filled in. `least`: the role it takes."""

    method: str
    path: str
    least: str
    body: Any = None
    status: int = 200

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    def at(self, key_id: str = "000000000000", name: str = "acme") -> str:
        return self.path.format(key_id=key_id, name=name)


ROUTES = [
    *(Route("GET", f"/v1/{name}", VIEWER) for name in ("whoami", "models", "replicas", "config", "audit")),
    Route("GET", "/v1/tenants", VIEWER),
    Route("GET", "/v1/tenants/{name}", VIEWER),
    Route("GET", "/v1/keys", VIEWER),
    Route("GET", "/v1/keys/{key_id}", VIEWER),
    Route("POST", "/v1/tenants", OPERATOR, {"name": "new"}, 201),
    Route("PATCH", "/v1/tenants/{name}", OPERATOR, {"weight": 2}),
    Route("POST", "/v1/keys", OPERATOR, {"tenant": "acme"}, 201),
    Route("POST", "/v1/keys/{key_id}/revoke", OPERATOR),
    Route("POST", "/v1/keys/{key_id}/rotate", OPERATOR, {"overlap": 60}, 201),
]
