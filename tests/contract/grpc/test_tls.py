"""Encrypted connections: whom we trust, whom we expect, and who we are."""

from __future__ import annotations

from engines.grpc.api import Code
from engines.grpc.tls import Tls
from tests.contract.grpc.conftest import Connect
from tests.support.certificates import client, localhost
from tests.support.grpc_server import METHOD, echo, serving
from tests.support.grpc_transports import Story, code, story

FINE = Story([b"x"], Code.OK)
SERVER = localhost()
CLIENT = client()


async def test_a_server_whose_authority_is_trusted(connect: Connect) -> None:
    async with serving(echo, tls=SERVER) as server:
        for host in ("localhost", "127.0.0.1"):
            channel = connect(server.port, host=host, tls=Tls(ca=SERVER.certificate))
            assert await story(channel.open(METHOD, b"x")) == FINE


async def test_big_messages_pass_encrypted(connect: Connect) -> None:
    message = bytes(range(256)) * 8192
    async with serving(echo, tls=SERVER) as server:
        channel = connect(server.port, host="localhost", tls=Tls(ca=SERVER.certificate))
        assert await story(channel.open(METHOD, message)) == Story([message], Code.OK)


async def test_an_authority_that_is_not_trusted(connect: Connect) -> None:
    async with serving(echo, tls=SERVER) as server:
        for tls in (Tls(ca=CLIENT.certificate), Tls()):
            assert await code(connect(server.port, host="localhost", tls=tls).open(METHOD, b"x")) is Code.UNAVAILABLE


async def test_a_certificate_for_somebody_else(connect: Connect) -> None:
    async with serving(echo, tls=CLIENT) as server:
        trusting = Tls(ca=CLIENT.certificate)
        assert await code(connect(server.port, host="localhost", tls=trusting).open(METHOD, b"x")) is Code.UNAVAILABLE


async def test_a_server_that_goes_by_another_name(connect: Connect) -> None:
    async with serving(echo, tls=CLIENT) as server:
        channel = connect(server.port, tls=Tls(ca=CLIENT.certificate, server_name="client"))
        assert await story(channel.open(METHOD, b"x")) == FINE


async def test_a_server_that_wants_to_know_who_we_are(connect: Connect) -> None:
    async with serving(echo, tls=SERVER, clients=CLIENT) as server:
        known = Tls(ca=SERVER.certificate, certificate=CLIENT.certificate, key=CLIENT.key)
        assert await story(connect(server.port, host="localhost", tls=known).open(METHOD, b"x")) == FINE


async def test_a_server_that_does_not_know_us(connect: Connect) -> None:
    async with serving(echo, tls=SERVER, clients=CLIENT) as server:
        nobody = Tls(ca=SERVER.certificate)
        stranger = Tls(ca=SERVER.certificate, certificate=SERVER.certificate, key=SERVER.key)
        for tls in (nobody, stranger):
            channel = connect(server.port, host="localhost", tls=tls)
            assert await code(channel.open(METHOD, b"x")) is Code.UNAVAILABLE
        assert server.arrived() == 0


async def test_the_two_ends_disagree_about_encryption(connect: Connect) -> None:
    async with serving(echo) as plain, serving(echo, tls=SERVER) as encrypted:
        channels = connect(plain.port, tls=Tls(ca=SERVER.certificate)), connect(encrypted.port, connect_timeout=1)
        for channel in channels:
            assert await code(channel.open(METHOD, b"x")) is Code.UNAVAILABLE
