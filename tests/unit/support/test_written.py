"""Whoever reads along sees whole lines, at whatever byte the writer has got to."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.written import whole_lines, written

RECORDS = [{"id": "1", "used": {"tokens": 1}}, {"id": "2", "said": "ü\u2028{}\x85"}, {"id": "3", "used": {}}]


def test_a_line_is_there_once_all_of_it_is(tmp_path: Path) -> None:
    log = tmp_path / "records.jsonl"
    content = b"".join(json.dumps(record, ensure_ascii=False).encode() + b"\n" for record in RECORDS)
    for size in range(len(content) + 1):
        log.write_bytes(content[:size])
        assert written(log) == RECORDS[: content[:size].count(b"\n")]


def test_an_empty_line_is_a_line(tmp_path: Path) -> None:
    file = tmp_path / "lines"
    file.write_text("one\n\ntwo\nhal")
    assert whole_lines(file) == ["one", "", "two"]
