"""Whose request it is: the address behind the proxies that are trusted, and which addresses are counted as one."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Network = IPv4Network | IPv6Network

ONE_HOUSEHOLD = 64
"""Bits of an IPv6 address that its owner was given; the others are for him to choose, as often as he likes."""

_WITH_PORT = re.compile(r"(?P<v4>[0-9.]+):[0-9]{1,5}|\[(?P<v6>[0-9a-fA-F:.]+)\](?::[0-9]{1,5})?")


def client_address(peer: str, forwarded: Iterable[bytes], proxies: Collection[Network]) -> str:
    """Who sent a request that `peer` connected for; `forwarded` are its X-Forwarded-For headers, in order.

    Each proxy adds, on the right, whom it got the request from. That is believed as far as the one who said it is in
    one of the networks `proxies`: what stands further to the left anybody could have written.
    """
    believed = _parsed(peer)
    if believed is None:
        return peer
    for said in _from_the_right(forwarded):
        if not any(believed in network for network in proxies):
            break
        before = _parsed(said)
        if before is None:
            break
        believed = before
    return str(believed)


def counted_as(address: str) -> str:
    """The name under which requests from an address are counted."""
    found = _parsed(address)
    if isinstance(found, IPv6Address):
        return str(IPv6Network((found, ONE_HOUSEHOLD), strict=False))
    return address if found is None else str(found)


def _from_the_right(forwarded: Iterable[bytes]) -> Iterator[str]:
    for value in reversed(list(forwarded)):
        for part in reversed(value.decode("latin-1").split(",")):
            yield part.strip()


def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    """Without a port or a zone; an IPv4 address in IPv6's clothes as what it is."""
    if found := _WITH_PORT.fullmatch(text):
        text = found["v4"] or found["v6"]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (isinstance(address, IPv6Address) and address.ipv4_mapped) or address
