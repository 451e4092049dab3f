"""What a connection to a gRPC server needs to know about certificates."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tls:
    """Everything in PEM. `ca` None trusts the usual authorities; `certificate` and `key` go together, for mTLS.

    `server_name` is what the certificate must be for, where that is not the host of the target.
    """

    ca: bytes | None = None
    certificate: bytes | None = None
    key: bytes | None = None
    server_name: str | None = None

    def __repr__(self) -> str:
        authorities = "usual" if self.ca is None else "own"
        return f"<Tls {authorities} authorities, {'with' if self.certificate else 'no'} certificate of ours>"
