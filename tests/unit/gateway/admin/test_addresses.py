"""Whose request it is: believed is what trusted proxies say, and nothing that a client could have written."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.admin.addresses import client_address, counted_as

PROXIES = [ip_network("10.0.0.0/8"), ip_network("fd00::/8")]


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("203.0.113.9", [], "203.0.113.9"),
        ("203.0.113.9", [b"198.51.100.1"], "203.0.113.9"),  # said by nobody who is trusted
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", [b"198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", [b"192.0.2.66, 198.51.100.1"], "198.51.100.1"),  # the left one is the client's own invention
        ("10.0.0.1", [b"192.0.2.66, 198.51.100.1, 10.0.0.2"], "198.51.100.1"),
        ("10.0.0.1", [b"192.0.2.66", b"198.51.100.1,10.0.0.2"], "198.51.100.1"),  # several headers are one list
        ("10.0.0.1", [b"10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", [b"198.51.100.1, nonsense"], "10.0.0.1"),
        ("10.0.0.1", [b"198.51.100.1, "], "10.0.0.1"),
        ("10.0.0.1", [b"\xff\xfe"], "10.0.0.1"),
        ("10.0.0.1", [b"198.51.100.1:51312"], "198.51.100.1"),
        ("10.0.0.1", [b"[2001:db8::1]:443"], "2001:db8::1"),
        ("10.0.0.1", [b"2001:db8::1"], "2001:db8::1"),
        ("fd00::1", [b"198.51.100.1"], "198.51.100.1"),
        ("::ffff:10.0.0.1", [b"::ffff:198.51.100.1"], "198.51.100.1"),
        ("fe80::1%eth0", [b"198.51.100.1"], "fe80::1"),
        ("unknown", [b"198.51.100.1"], "unknown"),
    ],
)
def test_the_client_is_who_connected_to_the_outermost_trusted_proxy(
    peer: str, forwarded: list[bytes], client: str
) -> None:
    assert client_address(peer, forwarded, PROXIES) == client


@given(st.lists(st.binary(max_size=40), max_size=4))
def test_nothing_that_a_client_writes_makes_it_another_one(forwarded: list[bytes]) -> None:
    assert client_address("203.0.113.9", forwarded, PROXIES) == "203.0.113.9"
    assert client_address("10.0.0.1", [*forwarded, b"203.0.113.9"], PROXIES) == "203.0.113.9"


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("198.51.100.1", "198.51.100.1"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("2001:db8:0:1:ffff::2", "2001:db8:0:1::/64"),
        ("unknown", "unknown"),
    ],
)
def test_who_owns_a_network_of_ipv6_is_counted_once(address: str, name: str) -> None:
    assert counted_as(address) == name
