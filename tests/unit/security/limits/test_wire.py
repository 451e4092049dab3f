"""What goes over the wire is, byte by byte, what the driver itself would have sent."""

from __future__ import annotations

import pytest
from redis.asyncio.connection import Connection

from security.limits.wire import packed


@pytest.mark.parametrize(
    "words",
    [
        ("EVALSHA", "a" * 40, "1", "snowshed:{acme}:held:1", "reserve", "0"),
        ("EVALSHA", "", "a\r\nb", "$5\r\n"),
        ("EVALSHA", "snowshed:{Bäckerei}:model:模型", "7"),
        ("EVALSHA", 0, -5, 2**50),
    ],
)
def test_words_are_packed_as_the_driver_packs_them(words: tuple[str | int, ...]) -> None:
    assert packed(*words) == b"".join(Connection().pack_command(*words))
