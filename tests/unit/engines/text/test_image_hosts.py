"""Where a caller's image may come from: what is on an operator's lists, and nothing that only looks like it."""

from __future__ import annotations

import pytest

from engines.text.image_hosts import Host, Place, find, is_public

PUBLIC = [
    Host.parse(entry) for entry in ("cdn.example.com", "*.pictures.example", "cdn.example.com:8443", "[2606:4700::1]")
]
INTERNAL = [Host.parse(entry) for entry in ("http://store:9000", "10.0.0.7")]


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("https://cdn.example.com/a/b.png?w=1&h=2#x", Place(True, "cdn.example.com", 443, "/a/b.png?w=1&h=2", False)),
        ("HTTPS://CDN.Example.com.:443", Place(True, "cdn.example.com", 443, "/", False)),
        ("https://cdn.example.com:8443/x", Place(True, "cdn.example.com", 8443, "/x", False)),
        ("https://a.b.pictures.example/x", Place(True, "a.b.pictures.example", 443, "/x", False)),
        ("https://[2606:4700::1]/x", Place(True, "2606:4700::1", 443, "/x", False)),
        ("http://store:9000/x", Place(False, "store", 9000, "/x", True)),
        ("https://10.0.0.7/x", Place(True, "10.0.0.7", 443, "/x", True)),
    ],
)
def test_what_is_on_a_list_is_found(url: str, place: Place) -> None:
    assert find(url, PUBLIC, INTERNAL) == place


def test_the_host_header_names_a_port_only_where_it_is_not_the_usual_one() -> None:
    places = [find(f"https://{host}/", PUBLIC, INTERNAL) for host in ("cdn.example.com", "cdn.example.com:8443")]
    assert [place.authority for place in places] == ["cdn.example.com", "cdn.example.com:8443"]
    assert find("https://[2606:4700::1]/", PUBLIC, INTERNAL).authority == "[2606:4700::1]"


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://cdn.example.com/", "not fetched from this host"),
        ("https://cdn.example.com:444/", "not fetched from this host"),
        ("https://cdn.example.com:0/", "not fetched from this host"),
        ("https://sub.cdn.example.com/", "not fetched from this host"),
        ("https://pictures.example/", "not fetched from this host"),
        ("https://evilpictures.example/", "not fetched from this host"),
        ("https://a.pictures.example.evil.com/", "not fetched from this host"),
        ("https://evil.com/cdn.example.com", "not fetched from this host"),
        ("https://store:9000/", "not fetched from this host"),
        ("https://169.254.169.254/latest/meta-data", "not fetched from this host"),
        ("https://2852039166/", "not fetched from this host"),
        ("https://evil.com\\@cdn.example.com/", "odd characters"),
        ("https://cdn.example.com\\.evil.com/", "odd characters"),
        ("https://cdn.example.com/ x", "without spaces"),
        ("https://cdn.example.com/\r\nhost: x", "odd characters"),
        ("https://cdn.exämple.com/", "odd characters"),
        ("https://cdn.example.com/" + "x" * 8192, "short"),
        ("https://evil.com@cdn.example.com/", "credentials"),
        ("https://user:word@cdn.example.com/", "credentials"),
        ("https://cdn.example.com@evil.com/", "credentials"),
        ("https:///x", "no host"),
        ("https://a..pictures.example/", "no host"),
        ("https://" + "a" * 64 + ".pictures.example/", "no host"),
        ("https://cdn.example.com%2eevil.com/", "no host"),
        ("https://[::1/", "no URL"),
        ("https://cdn.example.com:x/", "no URL"),
        ("https://cdn.example.com:99999/", "no URL"),
        ("file:///etc/passwd", "must begin with"),
        ("ftp://cdn.example.com/", "must begin with"),
        ("gopher://cdn.example.com/", "must begin with"),
        ("//cdn.example.com/", "must begin with"),
        ("data:text/html,x", "must begin with"),
        ("", "must begin with"),
    ],
)
def test_what_only_looks_like_it_is_not(url: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        find(url, PUBLIC, INTERNAL)


@pytest.mark.parametrize(
    "entry",
    [
        "",
        "*",
        "*.",
        "a b",
        "ftp://a",
        "https://a/path",
        "a/",
        "u:p@a",
        "a?b",
        "a#b",
        "a:0",
        "a:x",
        "a..b",
        "a*.b",
        "ä.de",
    ],
)
def test_a_list_s_entry_that_can_t_be_meant_is_told_to_the_operator(entry: str) -> None:
    with pytest.raises(ValueError, match=r"must|port|Port"):
        Host.parse(entry)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.9.9.9", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
        "100.100.100.200", "168.63.129.16", "192.0.0.192", "192.88.99.1", "224.0.0.1", "239.1.1.1", "240.0.0.1",
        "255.255.255.255", "198.18.0.1", "203.0.113.5",
        "::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "fe80::1", "fe80::1%eth0", "fc00::1",
        "fd00:ec2::254", "fec0::1", "ff02::1", "64:ff9b::7f00:1", "64:ff9b:1::1", "2002:7f00:1::", "2001::1",
        "2001:db8::1",
    ],
)  # fmt: skip
def test_an_address_that_is_not_the_internet_s_is_known(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "8.8.8.8", "168.63.129.17", "2606:4700::1", "::ffff:8.8.8.8"])
def test_and_one_that_is(address: str) -> None:
    assert is_public(address)
