"""The process that users run reads its file again: when it changes, and at SIGHUP; a bad one keeps it serving."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import plain
from tests.support.asking import ask, body
from tests.support.gateway import SpawnedGateway, configuration, metric, spawned_gateway
from tests.support.reloaded import replace
from tests.support.waiting import PATIENCE, wait_until
from tests.support.written import written


def model(name: str, **settings: Any) -> dict[str, Any]:
    return {"name": name, "engine": "scripted", **settings}


class Process:
    """A gateway with its file, which says on which ports it is."""

    def __init__(self, gateway: SpawnedGateway, folder: Path) -> None:
        self.gateway = gateway
        self.file = folder / "gateway.yaml"
        self._tree = yaml.safe_load(self.file.read_text())

    def tree(self, *models: dict[str, Any], **sections: Any) -> dict[str, Any]:
        return {**self._tree, "models": list(models), **sections}

    def metric(self, name: str) -> float:
        return metric(plain.get(f"{self.gateway.ops_url}/metrics").text, name)

    def answers(self, name: str) -> int:
        with plain.client(base_url=self.gateway.url) as client:
            return ask(client, body(model=name)).status

    def wait_for(self, generation: int, valid: int = 1) -> None:
        names = ("snowshed_config_generation", "snowshed_config_valid")
        wait_until(lambda: [self.metric(name) for name in names], lambda seen: seen == [generation, valid])

    def events(self, name: str, count: int = 1) -> list[dict[str, Any]]:
        """As soon as there are so many: lines are written by a thread, and an answer or a figure may come before."""
        return wait_until(lambda: self._lines(name), lambda lines: len(lines) >= count)

    def never(self, name: str) -> bool:
        """Asked of a process that has ended, which has written all that it had to say."""
        return self.gateway.child.poll() is not None and not self._lines(name)

    def _lines(self, name: str) -> list[dict[str, Any]]:
        return [line for line in written(self.gateway.errors) if line["event"] == name]


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    with spawned_gateway(configuration(models=[model("one")]), tmp_path) as gateway:
        yield Process(gateway, tmp_path)


def test_a_changed_file_is_taken_over_and_a_bad_one_is_not(process: Process) -> None:
    replace(process.file, process.tree(model("one"), model("two"), limits={"connections": 77}))
    process.wait_for(generation=2)
    assert [process.answers(name) for name in ("one", "two")] == [200, 200]
    replace(process.file, process.tree(model("three", wait=1), model("four", engine="sripted")))
    process.wait_for(generation=2, valid=0)
    assert [process.answers(name) for name in ("one", "two", "three")] == [200, 200, 404]
    assert plain.get(f"{process.gateway.ops_url}/readyz").status_code == 200
    replace(process.file, process.tree(model("two")))
    process.wait_for(generation=3)
    assert [process.answers(name) for name in ("one", "two")] == [404, 200]
    [bad] = process.events("configuration not reloaded")
    assert "models[0].wait" in bad["reason"]
    assert "models[1].engine" in bad["reason"]
    first, second = process.events("configuration reloaded", 2)
    assert (first["added"], first["needs_restart"], second["removed"]) == ("two@1", "limits.connections", "one@1")
    assert [line["replica"] for line in process.events("replica gone")] == ["one-0"]


def test_sighup_has_it_read_whether_it_has_changed_or_not_and_it_still_stops_as_ever(process: Process) -> None:
    process.gateway.child.send_signal(signal.SIGHUP)
    assert len(process.events("configuration reloaded")) == 1
    process.gateway.child.send_signal(signal.SIGHUP)
    assert len(process.events("configuration reloaded", 2)) == 2
    process.file.write_text("models: [")
    process.gateway.child.send_signal(signal.SIGHUP)
    process.wait_for(generation=1, valid=0)
    assert process.answers("one") == 200
    process.gateway.terminate()
    assert process.gateway.wait(PATIENCE) == 0


def test_a_mounted_config_map_is_exchanged_by_its_link(process: Process) -> None:
    """As the kubelet does: the file is a link into a folder's link, which is exchanged in one step."""
    folder = process.file.parent
    for name, models in (("v1", ["one"]), ("v2", ["one", "two"])):
        (folder / name).mkdir()
        (folder / name / "gateway.yaml").write_text(yaml.safe_dump(process.tree(*map(model, models))))
    (folder / "data").symlink_to("v1")
    (folder / "link").symlink_to(Path("data") / "gateway.yaml")
    (folder / "link").replace(process.file)
    (folder / "data.new").symlink_to("v2")
    (folder / "data.new").replace(folder / "data")
    process.wait_for(generation=2)
    assert process.answers("two") == 200
    process.gateway.terminate()
    assert process.gateway.wait(PATIENCE) == 0
    assert process.never("configuration not reloaded")
