"""What the doctor concludes from what it finds of the machine."""

from __future__ import annotations

import resource

import pytest

from gateway.cli.doctor.machine import UNSYNCHRONISED, clock, descriptors, python

ANY = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("build", "level"),
    [
        ("'--enable-shared' '--enable-optimizations'", "ok"),
        ("'--enable-shared' '--prefix=/usr' '--libdir=/usr/lib/x86_64-linux-gnu'", "ok"),
        ("'--prefix=/usr/local' '--enable-shared'", "note"),
        ("", "note"),
        (None, "ok"),
    ],
    ids=["told", "Debian's", "local", "plain", "unknown"],
)
def test_a_python_built_without_optimisation_is_noted(build: str | None, level: str) -> None:
    found = python("3.11.2", build)
    assert found.level == level
    assert ("--enable-optimizations" in found.todo) is (level == "note")


@pytest.mark.parametrize(
    ("now", "kernel", "level"),
    [
        (2e9, 0, "ok"),
        (2e9, None, "ok"),
        (2e9, UNSYNCHRONISED, "note"),
        (0.0, 0, "wrong"),
        (0.0, UNSYNCHRONISED, "wrong"),
    ],
)
def test_a_clock_before_the_programs_own_time_is_wrong(now: float, kernel: int | None, level: str) -> None:
    found = clock(now, 1.7e9, kernel)
    assert found.level == level
    assert bool(found.todo) is (level != "ok")


@pytest.mark.parametrize(
    ("soft", "hard", "level", "words"),
    [
        (20_064, 20_064, "ok", ""),
        (ANY, ANY, "ok", ""),
        (1024, ANY, "note", "ulimit -n 20064; or lower limits.connections to 480"),
        (1024, 4096, "note", "LimitNOFILE=20064"),
        (10, 10, "note", "to 1"),
    ],
)
def test_open_files_must_do_for_as_many_connections_as_are_let_in(soft: int, hard: int, level: str, words: str) -> None:
    found = descriptors(soft, hard, 10_000)
    assert found.level == level
    assert words in found.todo
