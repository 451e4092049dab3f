"""Which addresses an issuer's keys may be fetched from: nobody on the way may exchange them."""

from __future__ import annotations

from urllib.parse import urlsplit

from security.exposure import is_loopback


def check_url(url: str) -> str:
    """The URL: https, or http on this machine. Raises ValueError, without the URL, for people."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port  # which raises for what is no port
    except ValueError:
        host, parts = None, urlsplit("")
    if not host or not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError("takes a URL, such as https://login.example.com/realms/ml")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise ValueError("takes a URL without user, password and fragment")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(host)):
        raise ValueError("takes https; plain http only on loopback")
    return url
