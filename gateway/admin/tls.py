"""TLS in which both sides show a certificate: without it the admin listener does not leave this machine."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Final

HANDSHAKE: Final = 5.0
"""Seconds for it: until then it is not known who holds the connection."""


def server_context(certificate: Path, key: Path, clients: Path) -> ssl.SSLContext:
    """Shows `certificate` (with its chain), and lets in who shows one that the authorities in `clients` have signed.

    All are PEM files. Raises ValueError, fit for people, if one of them can't be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise ValueError(f"certificate {certificate} and key {key} can't be used: {_why(error)}") from None
    try:
        context.load_verify_locations(clients)
    except OSError as error:
        raise ValueError(f"clients {clients} can't be used: {_why(error)}") from None
    return context


def _no_password() -> str:
    """Else OpenSSL would ask for one on the terminal."""
    raise ValueError("the key is encrypted, and nobody is there to decrypt it")


def _why(error: OSError | ValueError) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or "not PEM").lower().replace("_", " ")
    return (isinstance(error, OSError) and error.strerror) or str(error)
