"""Settings change as a whole, or for one request by its directive; nonsense is refused."""

from __future__ import annotations

import msgspec
import pytest

from loadtests.fleet.settings import Settings, changed, directed, directive_in


def test_the_last_directive_in_a_body_counts() -> None:
    body = b'{"messages":[{"content":"@@tokens=1@@ old"},{"content":"mail a@b @@tokens=2,fault=cut@@ new"}]}'
    assert directive_in(body) == "tokens=2,fault=cut"
    assert directed(Settings(delay_ms=5), directive_in(body)) == Settings(delay_ms=5, tokens=2, fault="cut")


@pytest.mark.parametrize("body", [b"none", b"a@b.c", b"@@", b"@@not a directive@@", b'"@@tokens=1", "@@"'])
def test_other_text_is_no_directive(body: bytes) -> None:
    assert directive_in(body) == ""


@pytest.mark.parametrize("changes", [{"tokns": 1}, {"tokens": "1"}, {"tokens": -1}, {"chunking": "none"}])
def test_nonsense_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        changed(Settings(), changes)
