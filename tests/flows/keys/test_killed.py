"""Whoever was told that a key is made can rely on it, even if the maker is killed in the next moment."""

from __future__ import annotations

import subprocess
import sys

from tests.support.gateway import ROOT
from tests.support.stored import KeyBook

MAKER = """
import asyncio, sys, time
from gateway.store.database import address, connect
from gateway.store.records import Actor
from gateway.store.registry import Registry

async def make():
    registry = Registry(connect(address(sys.argv[1])), time.time)
    while True:
        key, _ = await registry.create_key("acme", by=Actor("test"))
        print(key.id, flush=True)

asyncio.run(make())
"""
MAKERS, KILLS, MADE = 2, 2, 20


def test_kill_9_during_writes_loses_nothing_acknowledged(shared: KeyBook) -> None:
    shared.tenant()
    told: set[str] = set()
    for _ in range(KILLS):
        makers = [
            subprocess.Popen([sys.executable, "-c", MAKER, shared.url], cwd=ROOT, stdout=subprocess.PIPE, text=True)
            for _ in range(MAKERS)
        ]
        for maker in makers:
            assert maker.stdout is not None
            told |= {maker.stdout.readline().strip() for _ in range(MADE)}
        for maker in makers:
            maker.kill()
            assert maker.stdout is not None
            told |= {line.strip() for line in maker.stdout if line.endswith("\n")}
            maker.stdout.close()
            maker.wait()
    assert len(told) >= MAKERS * KILLS * MADE
    kept = {key.id for key in shared.do(lambda registry: registry.keys())}
    assert told <= kept
    trail = shared.do(lambda registry: registry.audit())
    assert {entry.object for entry in trail if entry.kind == "key"} == kept, "no change without its entry, nor one more"
    shared.key()  # and it goes on
