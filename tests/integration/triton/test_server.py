"""The server as a process: models come and go, it is killed and comes back, and nothing of it stays behind."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from loadtests.triton import Ports, TritonError, TritonServer
from tests.support.running import running_process
from tests.support.triton import RawTriton, flags, ints, journal_until, raw_triton, revived, running_triton, texts
from tests.support.waiting import PATIENCE, wait_until

ROOT = Path(__file__).parents[3]
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - where Triton keeps what it shares with its models


async def answer(client: RawTriton, prompt: str = "hi") -> str:
    tensors = {"text_input": texts(prompt), "sampling_param_max_tokens": ints(2), "streaming": flags(True)}
    tensors["sampling_param_exclude_input_from_output"] = flags(True)
    first = (await client.all("llmapi", tensors))[0]
    return first.error or first.text()


async def answers(client: RawTriton, words: str) -> None:
    """Ask until the answer holds these words."""
    async with asyncio.timeout(PATIENCE):
        while words not in await answer(client):
            pass


async def test_a_model_that_is_unloaded_is_no_longer_there_until_it_is_loaded() -> None:
    with running_triton("llmapi") as server:
        async with raw_triton(server) as client:
            assert await answer(client) == "The"
            server.unload("llmapi")
            await answers(client, "has no available versions")
            server.load("llmapi")
            assert await answer(client) == "The"


async def test_a_model_whose_process_died_comes_back_when_it_is_loaded() -> None:
    with running_triton("llmapi") as server:
        async with raw_triton(server) as client:
            dying = asyncio.ensure_future(answer(client, "@@fault=die@@"))
            await journal_until(server, bool)
            await answers(client, "not healthy")
            dying.cancel()  # Triton 2.51 leaves most such clients waiting
            server.load("llmapi")
            assert await answer(client) == "The"


def test_a_killed_server_leaves_nothing_and_starts_on_the_same_ports() -> None:
    with running_triton("llmapi", "ensemble") as server:
        before, ports = group(server.pid), server.ports
        assert len(before) == 5, "the server and a process for each Python model"
        server.kill()
        wait_until(lambda: not any(running_process(pid) for pid in before))
        server.start()
        assert server.ports == ports
        assert server.is_ready("ensemble")
        regions = f"{server._folder.name}*"
        assert list(SHARED_MEMORY.glob(regions))
    assert not list(SHARED_MEMORY.glob(regions))


def test_a_server_that_died_is_started_again_and_its_end_is_told() -> None:
    with running_triton() as server:
        server.load("llmapi")
        revived(server)  # of one that runs there is nothing to warn of
        before = server.pid
        os.kill(before, signal.SIGSEGV)
        wait_until(server.death)
        with pytest.raises(TritonError, match="SIGSEGV"):
            server.load("generic")
        with pytest.warns(UserWarning, match=r"(?s)died \(SIGSEGV\).*Signal \(11\) received"):
            revived(server)
        assert server.pid != before
        assert server.is_ready("llmapi")
        assert server.death() == ""


def test_a_server_that_hangs_is_started_again_and_told_by_its_model() -> None:
    with running_triton() as server:
        server.need("ensemble", "generic", "embedder")
        revived(server, may_hang=True)  # whatever inputs a model wants, it answers
        before = server.pid
        for pid in set(group(before)) - {before}:
            os.kill(pid, signal.SIGSTOP)
        revived(server)
        assert server.pid == before, "it has not died"
        with pytest.warns(UserWarning, match="Triton's model ensemble hangs"):
            revived(server, may_hang=True)
        assert server.pid != before
        assert server.is_ready("ensemble")
        assert server.hang() == ""


def test_a_server_whose_owner_dies_dies_too() -> None:
    code = (
        "import os, sys; from loadtests.triton import TritonServer; server = TritonServer(['llmapi']); server.start();"
        "print(server.pid, flush=True); sys.stdin.read()"
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert owner.stdout is not None
    pid = int(owner.stdout.readline())
    processes = group(pid)
    owner.kill()
    owner.communicate()
    wait_until(lambda: not any(running_process(one) for one in processes))


def test_a_command_runs_with_it_and_hears_our_signals() -> None:
    ports = Ports.free()
    numbers = [f"--{name}-port={port}" for name, port in vars(ports).items()]
    waits = "signal.pthread_sigmask(0, {15}); print('here', flush=True); print('heard', signal.sigwait({15}).name)"
    command = [sys.executable, "-c", f"import signal; {waits}"]
    both = subprocess.Popen(
        [sys.executable, "-m", "loadtests.triton", *numbers, "--models", "llmapi", "--", *command],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert both.stdout is not None
    assert both.stdout.readline() == f"Triton serves llmapi over gRPC on 127.0.0.1:{ports.grpc}.\n"
    assert both.stdout.readline() == "here\n"
    both.terminate()
    assert both.communicate(timeout=PATIENCE)[0] == "heard SIGTERM\n"
    assert both.returncode == 0
    with socket.create_server(("127.0.0.1", ports.grpc)):
        pass  # nobody is left there


def test_a_server_that_cannot_start_says_why() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports = Ports(taken.getsockname()[1], *dataclasses.astuple(Ports.free())[1:])
        with pytest.raises(TritonError, match=f"{ports.http}.*already in use"):
            TritonServer(ports=ports).start()


def group(leader: int) -> list[int]:
    """The processes of a process group."""
    listed = subprocess.run(["ps", "-eo", "pid=,pgid="], capture_output=True, text=True, check=True).stdout
    pairs = [tuple(map(int, line.split())) for line in listed.splitlines()]
    return [pid for pid, group in pairs if group == leader]
