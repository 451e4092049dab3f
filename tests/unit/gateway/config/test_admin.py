"""The admin listener is closed to strangers: a configuration that would show it to them is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.config import Config, ConfigError, check, check_sources

TLS = {"certificate": "server.pem", "key": "server.key", "clients": "clients.pem"}


def configured(auth: str = "keys", **sections: Any) -> Config:
    return check({"models": [{"name": "m", "engine": "scripted"}], "auth": {"kind": auth}, **sections}, "x")


def refused(**sections: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        configured(**sections)
    return str(caught.value)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.7", "gateway.example", ""])
def test_beyond_this_machine_it_takes_certificates_of_both_sides(host: str) -> None:
    assert "admin: a host that other machines can reach takes tls" in refused(admin={"host": host})
    assert configured(admin={"host": host, "tls": TLS}).admin.host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_on_this_machine_it_does_not(host: str) -> None:
    assert configured(admin={"host": host}).admin.tls is None


@pytest.mark.parametrize("lacking", TLS)
def test_no_part_of_tls_can_be_left_out(lacking: str) -> None:
    given = {name: path for name, path in TLS.items() if name != lacking}
    assert f"admin.tls.{lacking}: is required" in refused(admin={"tls": given})


def test_what_is_no_network_is_refused_and_an_address_is_one() -> None:
    told = "admin.proxies[1]: takes an address or a network, such as 10.0.0.0/8"
    assert told in refused(admin={"proxies": ["10.0.0.0/8", "10.0.0.0/33"]})
    assert configured(admin={"proxies": ["10.0.0.7", "fd00::/8"]}).admin.proxies == ("10.0.0.7/32", "fd00::/8")


def test_three_doors_on_one_address_differ_and_the_third_counts_only_with_keys() -> None:
    same = {"server": {"port": 9}, "admin": {"port": 9}}
    assert "server.port and admin.port must differ" in refused(**same)
    assert "ops.port and admin.port must differ" in refused(ops={"port": 9}, admin={"port": 9})
    assert configured(auth="none", **same).admin.port == 9


def test_certificates_are_looked_for(tmp_path: Path) -> None:
    (tmp_path / "server.pem").touch()
    tls = {name: str(tmp_path / file) for name, file in TLS.items()}
    with pytest.raises(ConfigError) as caught:
        check_sources(configured(admin={"tls": tls}))
    assert "admin.tls.key: there is no" in str(caught.value)
    assert "admin.tls.clients: there is no" in str(caught.value)
    assert "admin.tls.certificate" not in str(caught.value)
