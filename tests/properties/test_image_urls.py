"""Whatever a caller calls a URL either leads to a listed host, in a request line of one line, or is refused."""

from __future__ import annotations

import contextlib
from urllib.parse import urlsplit

from hypothesis import event, example, given
from hypothesis import strategies as st

from engines.text.image_hosts import Host, find

PUBLIC = [Host.parse("cdn.example.com"), Host.parse("*.pics.example:8443")]
INTERNAL = [Host.parse("http://store")]
PIECES = st.sampled_from([
    "https", "http", "HTTPS", "ftp", "://", ":", "//", "/", "\\", "@", "?", "#", ".", "..", "[", "]", "::1", "%", "%00",
    "%2e", ":443", ":8443", ":0", ":99999", "cdn.example.com", "pics.example", "a.pics.example", "store", "evil.com",
    "127.0.0.1", "\r\n", "\t", " ", "\0", "é", "\u3002", "\uff43", "x",
])  # fmt: skip
URLS = st.lists(PIECES | st.text(max_size=3), max_size=10).map("".join)
LIKELY = st.tuples(
    st.sampled_from(["https://", "http://", "HTTPS://", ""]),
    st.sampled_from(["cdn.example.com", "a.pics.example:8443", "store", "evil.com@", ""]),
    URLS,
).map("".join)


@given(URLS | LIKELY)
@example("https://cdn.example.com")
@example("https://evil.com\\@cdn.example.com/")
@example("https://cdn.example.com\r\nhost: evil.com")
def test_a_url_leads_to_a_listed_host_or_nowhere(url: str) -> None:
    place = None
    with contextlib.suppress(ValueError):
        place = find(url, PUBLIC, INTERNAL)
    event("refused" if place is None else "found")
    if place is None:
        return
    parts = urlsplit(url)
    assert place.host == (parts.hostname or "").removesuffix(".")
    known = {
        "cdn.example.com": (True, 443, False),
        "store": (False, 80, True),
    }
    assert (place.tls, place.port, place.internal) == known.get(place.host, (True, 8443, False))
    assert place.host in known or place.host.endswith(".pics.example")
    assert place.target.startswith("/")
    assert place.target.isprintable()
    assert place.target.isascii()
    assert " " not in place.target
