"""An identity is what a trusted proxy has said for itself, in one way of reading it; a rule says whose it is."""

from __future__ import annotations

import time
import tracemalloc
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from security.api import Unauthenticated
from security.beside_mesh import BesideMesh
from security.ids import outside_id
from security.keys import mint
from security.mesh import KNOWN, VOUCHED, XFCC, MeshAuthenticator, Peers, Rule, identity, pattern
from tests.support.key_door import Door
from tests.support.token_door import TokenDoor

ONE, TWO = "spiffe://cluster.local/ns/ml/sa/batch", "spiffe://cluster.local/ns/web/sa/shop"
SCOPES = frozenset({"inference"})


def rule(text: str, tenant: str = "", plan: str = "default") -> Rule:
    return Rule(pattern(text), tenant, None, SCOPES, 1, 0, plan)


def mesh(*rules: Rule, header: str = XFCC.decode()) -> MeshAuthenticator:
    return MeshAuthenticator(Peers(header, [ip_network("127.0.0.0/8")]), rules)


def who(checks: MeshAuthenticator, value: str) -> tuple[str, str]:
    principal = checks.recall({VOUCHED: value.encode()})
    return principal.key_id, principal.tenant


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (f"URI={ONE}", ONE), (f'By={TWO};Hash=ab12;Subject="CN=a,OU=b;c";URI={ONE};DNS=x', ONE),
        (f"By={TWO};uri={ONE}", ONE), (f"Hash=a;URI={TWO},By=x;Hash=b;URI={ONE}", ONE),
        (f"URI={TWO}, URI={ONE}", ONE), (f'Subject="a\\",URI={TWO}";URI={ONE}', ONE), (f'URI="{ONE}"', ONE),
        (f"URI={ONE};URI={TWO}", ""), (f"URI={TWO},Hash=b", ""), ("Hash=b", ""), ("", ""), ("URI=", ""), (ONE, ""),
        (f'Subject="a;URI={ONE}', ""), (f"URI={ONE};;", ""), ("URI=a b", ""), ("URI=\xe9", ""),
        ("URI=" + "x" * 513, ""),
    ],
)  # fmt: skip
def test_of_certificates_the_last_one_with_one_uri_counts(value: str, said: str) -> None:
    assert identity(XFCC, value.encode("latin-1")) == said


@pytest.mark.parametrize(
    ("value", "said"), [(ONE, ONE), (f" {ONE} ", ONE), (f"{ONE},{TWO}", ""), ("", ""), ("a b", ""), ("\x00", "")]
)
def test_another_header_is_the_identity(value: str, said: str) -> None:
    assert identity(b"x-workload", value.encode()) == said


@given(st.binary(max_size=200))
def test_no_header_of_any_kind_breaks_it(value: bytes) -> None:
    for header in (XFCC, b"x-workload"):
        said = identity(header, value)
        assert said.isascii()
        assert not set(said) & set(" ,\x00\x7f")


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        (ONE, True), ("spiffe://cluster.local/ns/*/sa/batch", True), ("spiffe://cluster.local/ns/m*/sa/*", True),
        ("spiffe://cluster.local/*", False), ("spiffe://cluster.local/ns/ml/sa/bat", False), ("*" + ONE, True),
        ("spiffe://cluster.local/ns/ml/sa/.*", False), ("spiffe://cluster-local/ns/ml/sa/batch", False),
    ],
)  # fmt: skip
def test_a_star_stands_for_all_but_a_slash(text: str, fits: bool) -> None:
    assert (pattern(text).fullmatch(ONE) is not None) is fits


def test_no_identity_takes_long_whatever_its_workload_is_called() -> None:
    """Names of workloads are their owners' to choose."""
    said = "spiffe://c" + 3 * f"/{'-' * 160}"
    started = time.perf_counter()
    assert not pattern("spiffe://c/*-*/*-*/*-*/{tenant}").fullmatch(said)
    assert time.perf_counter() - started < 0.1
    found = pattern("spiffe://*/{tenant}-*/sa/*").fullmatch("spiffe://c/a-b-c/sa/d")
    assert found
    assert found["tenant"] == "a-b"


def test_the_first_rule_that_fits_says_whose_it_is() -> None:
    checks = mesh(rule(ONE, "fixed"), rule("spiffe://cluster.local/ns/{tenant}/sa/*"))
    assert who(checks, f"URI={ONE}") == (f"mesh:{ONE}", "fixed")
    assert who(checks, f"URI={TWO}") == (f"mesh:{TWO}", "web")
    assert mesh(rule(ONE, "fixed", "gold")).recall({VOUCHED: f"URI={ONE}".encode()}).plan == "gold"
    for stranger in ("URI=spiffe://elsewhere/ns/ml/sa/x", "URI=spiffe://cluster.local/ns/a%20b/sa/x", "URI=", ONE):
        with pytest.raises(Unauthenticated) as refused:
            who(checks, stranger)
        assert refused.value.sent


async def test_without_an_identity_nobody_is_let_in() -> None:
    checks = mesh(rule("*", "any"))
    for headers in ({}, {XFCC: f"URI={ONE}".encode()}, {b"authorization": b"Bearer x"}):
        with pytest.raises(Unauthenticated) as refused:
            await checks.learn(headers)
        assert not refused.value.sent


def test_memory_is_bounded_whatever_is_sent() -> None:
    checks = mesh(rule("*", "any"), header="x-workload")
    for number in range(KNOWN + 10):
        who(checks, str(number))
    assert f"{KNOWN} known" in repr(checks)


def test_a_long_header_is_not_kept() -> None:
    """What stands before the last element is of the caller's making: as long, and as often another one, as he likes."""
    checks = mesh(rule("spiffe://cluster.local/ns/{tenant}/sa/*"))
    tracemalloc.start()
    for number in range(100):
        assert who(checks, f'Subject="{number:030000}",URI={ONE}')[1] == "ml"
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 100 * 3000


@pytest.mark.parametrize(
    ("address", "trusted"),
    [
        ("127.0.0.6", True), ("::ffff:127.0.0.1", True), ("10.0.0.1", False), ("::1", True), ("fe80::1%eth0", False),
        ("", False), ("unix", False),
    ],
)  # fmt: skip
def test_peers_are_told_by_their_networks(address: str, trusted: bool) -> None:
    peers = Peers("x-workload", [ip_network("127.0.0.0/8"), ip_network("::1")])
    assert peers.trust(address) is trusted


def test_an_id_is_short_and_only_its_own() -> None:
    assert outside_id("mesh", "a b") == "mesh:a%20b"
    assert outside_id("mesh", "x" * 123) == "mesh:" + "x" * 123
    assert outside_id("mesh", "x" * 124) is None
    assert outside_id("mesh", "") is None


async def test_keys_and_tokens_go_before_the_mesh_and_nothing_else_does() -> None:
    keys, tokens = Door(), TokenDoor()
    for door in (keys.checks, tokens.checks):
        await door.start()
    key = mint()
    keys.shelf.put(key)
    vouched = {VOUCHED: f"URI={ONE}".encode()}
    with_keys = BesideMesh(keys.checks, mesh(rule("spiffe://cluster.local/ns/{tenant}/sa/*")))
    with_tokens = BesideMesh(tokens.checks, with_keys.mesh)

    async def asked(checks: BesideMesh, shown: str | None, headers: dict[bytes, bytes]) -> str:
        sent = headers if shown is None else {**headers, b"authorization": f"Bearer {shown}".encode()}
        return (checks.recall(sent) or await checks.learn(sent)).key_id

    assert await asked(with_keys, key.text, vouched) == key.id
    assert await asked(with_tokens, tokens.token(), vouched) == "jwt:alice"
    for shown in (None, "EMPTY", "sk-no-key", ""):
        assert await asked(with_keys, shown, vouched) == f"mesh:{ONE}"
        assert await asked(with_tokens, shown, vouched) == f"mesh:{ONE}"
    for checks, shown in ((with_keys, mint().text), (with_tokens, "a.b.c"), (with_keys, "EMPTY")):
        with pytest.raises(Unauthenticated):
            await asked(checks, shown, {} if shown == "EMPTY" else vouched)
    keys.shelf.away = True
    keys.pass_time(1e6)
    await keys.checks.refresh()
    assert with_keys.trouble
    assert with_keys.able
    assert await asked(with_keys, None, vouched) == f"mesh:{ONE}"
