"""Requests made from the admin listener's documentation get answers that it describes: a long proof's beginning."""

from __future__ import annotations

from loadtests.prove.fuzzing import fuzz
from tests.flows.admin.conftest import Administration, ended_request


def test_every_answer_is_documented_and_none_is_a_500(admin: Administration) -> None:
    request_id = ended_request(admin)
    found = fuzz(admin.port, lambda: admin.book.key(scopes=["admin"]).text, request_id, examples=3, seed=1)
    assert found.answers["GET /v1/requests/{request_id} 200"]
    assert (found.wrong, found.errors, found.failed) == ({}, {}, 0), found.said
    assert found.answers.total() > 400
