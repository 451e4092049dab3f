"""Who a service mesh says that asks: an identity in a header of its proxies, which others can't vouch for."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

from security.api import IS_NAME, Headers, Principal, Unvouched
from security.ids import outside_id
from security.keys import digest
from security.room import make_room

VOUCHED: Final = b"vouched identity"
"""The name under which the edge hands over what a trusted proxy has sent. With its space, nobody can send it."""
XFCC: Final = b"x-forwarded-client-cert"
"""Envoy's header, about the certificates on the way. All others hold an identity and nothing else."""
KNOWN: Final = 10_000
"""Most headers kept in memory, by their digests, as they can be long; the oldest go first."""

_PAIR = re.compile(r'\s*([A-Za-z]+)=("(?:[^"\\]|\\.)*"|[^",;]*)([;,]|$)').match
_IDENTITY = re.compile(r"[\x21-\x2b\x2d-\x7e]{1,512}").fullmatch
_WILD: Final = {r"\*": "[^/]*", r"\{tenant\}": "(?P<tenant>[^/]+)"}


class Peers:
    """From whose addresses `header` counts; `ignored` counts requests of others that had it."""

    def __init__(self, header: str, networks: Collection[IPv4Network | IPv6Network]) -> None:
        self.header = header.encode()
        self._networks = tuple(networks)
        self.ignored = 0

    def __repr__(self) -> str:
        return f"<Peers {', '.join(map(str, self._networks))}; {self.ignored} ignored>"

    def trust(self, address: str) -> bool:
        try:
            found = ip_address(address.partition("%")[0])
        except ValueError:
            return False
        plain = (isinstance(found, IPv6Address) and found.ipv4_mapped) or found
        return any(plain in network for network in self._networks)


@dataclass(slots=True, frozen=True)
class Rule:
    """Identities that look like `pattern`, and what is theirs. `tenant` "": what the pattern names so."""

    pattern: re.Pattern[str]
    tenant: str
    models: frozenset[str] | None
    scopes: frozenset[str]
    weight: int
    priority: int
    plan: str


def pattern(text: str) -> re.Pattern[str]:
    """Of an identity: a star stands for any characters but a slash, `{tenant}` for at least one, the tenant's name."""
    *parts, last = re.escape(text).split("/")
    # Each by itself, as nothing crosses a slash: how a later one fits is no reason to try an earlier one once more.
    whole = [*(f"(?>{_meant(part)}/)" for part in parts), _meant(last)]
    return re.compile("".join(whole))


def _meant(escaped: str) -> str:
    for written, meant in _WILD.items():
        escaped = escaped.replace(written, meant)
    return escaped


def identity(header: bytes, value: bytes) -> str:
    """What a header says; "" if that is not one identity."""
    text = value.decode("latin-1").strip()
    said = _of_certificate(text) if header == XFCC else text
    return said if _IDENTITY(said) else ""


def _of_certificate(text: str) -> str:
    """The URI of the last element: that is what the proxy itself has seen, and not only heard."""
    uris: list[str] = []
    at = 0
    while at < len(text):
        found = _PAIR(text, at)
        if found is None:
            return ""
        if found[1].lower() == "uri":
            uris.append(found[2].strip('"'))
        if found[3] == "," and found.end() < len(text):
            uris.clear()
        at = found.end()
    return uris[0] if len(uris) == 1 else ""


class MeshAuthenticator:
    """An Authenticator that knows all there is to know: the first rule that fits says whose an identity is."""

    trouble = ""
    able = True

    def __init__(self, peers: Peers, rules: Sequence[Rule]) -> None:
        self.peers = peers
        self._rules = rules
        self._known: dict[bytes, Principal | None] = {}

    def __repr__(self) -> str:
        return f"<MeshAuthenticator {len(self._known)} known, {self.peers!r}>"

    def recall(self, headers: Headers) -> Principal:
        sent = headers.get(VOUCHED)
        if sent is None:
            raise Unvouched(sent=False)
        hashed = digest(sent)
        if hashed not in self._known:
            make_room(self._known, KNOWN)
            self._known[hashed] = self._principal(identity(self.peers.header, sent))
        principal = self._known[hashed]
        if principal is None:
            raise Unvouched(sent=True)
        return principal

    async def learn(self, headers: Headers) -> Principal:
        return self.recall(headers)

    def _principal(self, said: str) -> Principal | None:
        key_id = outside_id("mesh", said)
        for rule in self._rules:
            found = rule.pattern.fullmatch(said)
            if found:
                tenant = rule.tenant or found["tenant"]
                if key_id is None or not IS_NAME(tenant):
                    return None
                return Principal(key_id, tenant, rule.models, rule.scopes, rule.weight, rule.priority, rule.plan)
        return None

    async def start(self) -> None:
        """Nothing to start."""

    async def watch(self) -> None:
        """Nothing changes."""

    async def aclose(self) -> None:
        """Nothing is held."""
