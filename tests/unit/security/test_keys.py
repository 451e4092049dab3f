"""A key's form: an id to show, a secret to keep."""

from __future__ import annotations

import re

from security.keys import digest, key_id, mint


def test_a_new_key_has_the_form_and_hides_its_secret() -> None:
    key = mint()
    assert re.fullmatch(r"sk-snow-[0-9a-f]{12}-[A-Za-z0-9]{40}", key.text)
    assert key_id(key.text.encode()) == key.id
    assert key.text.rpartition("-")[2] not in repr(key)
    assert key.digest == digest(key.text.encode())
    assert len(key.digest) == 32


def test_no_two_keys_are_alike() -> None:
    keys = [mint() for _ in range(1000)]
    assert len({key.id for key in keys}) == len({key.text[-40:] for key in keys}) == 1000


def test_only_the_whole_form_is_one() -> None:
    key = mint().text.encode()
    assert key_id(key + b"\n") is None
    assert key_id(b" " + key) is None
    assert key_id(key[:-1]) is None
    assert key_id(key + b"a") is None
    assert key_id(key.upper()) is None
