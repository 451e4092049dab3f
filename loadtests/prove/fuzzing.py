"""An HTTP interface is asked what its own documentation allows, and what it does not, by schemathesis."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import msgspec

from loadtests.bench.stand import ask

ROOT = Path(__file__).parents[2]
MINT = "FUZZING_MINT"
"""Variable with the port of 127.0.0.1 that answers with a new key."""
REQUEST = "FUZZING_REQUEST"
"""Variable with the id of a request that there was."""
ANSWERS = "FUZZING_ANSWERS"
"""Variable with the name of a file for the operation and the status of each answer, a line each."""
SETTINGS = """\
hooks = "loadtests.prove.fuzzing_hooks"
seed = {seed}
[cache]
enabled = false
[generation]
database = "none"
with-security-parameters = false
[checks.negative_data_rejection]
expected-statuses = [400, 401, 404, 405, 409, 414, 415]
[[operations]]
include-name = "PUT /v1/models/{{model}}/versions/{{version}}"
checks.positive_data_acceptance.enabled = false
[[operations]]
include-path-regex = "^/v1/plans"
checks.positive_data_acceptance.enabled = false
[[operations]]
include-path-regex = "^/v1/overrides"
checks.positive_data_acceptance.enabled = false
[[operations]]
include-path-regex = "^/v1/tenants"
checks.positive_data_acceptance.enabled = false
[[operations]]
include-path-regex = "^/v1/usage"
checks.positive_data_acceptance.enabled = false
"""
"""What makes a good version, such as the form of a URL, is more than a schema can say; so is how many
decimals money of a plan or an override has, which plans there are, and what a page's `next` was. In answers about
plans, `plan` is no name, as which it is taken in further requests.

With a good key alone: what is asked without one ends at the door, and would be half of all requests. A key that was
just revoked at random gets one 401."""


@dataclass(frozen=True)
class Findings:
    """`wrong`: kinds of wrong answers, and the operations that gave them. `answers`: "GET /v1/models 200": how many.

    `errors`: what kept schemathesis from asking, and how often. `said`: its own report.
    """

    wrong: dict[str, list[str]]
    errors: dict[str, int]
    answers: Counter[str]
    said: str

    @property
    def failed(self) -> int:
        """Answers that say that it is the server's fault."""
        return sum(count for what, count in self.answers.items() if what.rpartition(" ")[2].startswith("5"))

    @property
    def in_vain(self) -> set[str]:
        """Operations that were never done: what is wrong behind their doors was not seen."""
        asked = {what.rpartition(" ")[0] for what in self.answers}
        return asked - {what.rpartition(" ")[0] for what in self.answers if what.rpartition(" ")[2].startswith("2")}


def fuzz(port: int, mint: Callable[[], str], request_id: str, examples: int, seed: int) -> Findings:
    """Ask every operation of the OpenAPI document that 127.0.0.1:`port` has for whoever has a key.

    `examples`: most random requests per operation, and as many walks through several. `mint` makes a key: what is asked
    at random revokes keys, its own as well. `request_id` is that of a request that it can tell of. Raises RuntimeError
    if it could not be done.
    """
    with tempfile.TemporaryDirectory(prefix="snowshed-fuzzing-") as folder, _giving(mint) as keys:
        report, answers = Path(folder) / "report.json", Path(folder) / "answers"
        (Path(folder) / "schemathesis.toml").write_text(SETTINGS.format(seed=seed))
        _, document = ask(port, "GET", "/openapi.json", Authorization=f"Bearer {mint()}")
        (Path(folder) / "openapi.json").write_bytes(document)
        asking = [
            sys.executable, "-m", "schemathesis.cli", "run", "openapi.json", "--url", f"http://127.0.0.1:{port}",
            "--max-examples", str(examples), "--continue-on-failure", "--no-color", "--request-timeout", "60",
            "--report", "json", "--report-json-path", str(report),
        ]  # fmt: skip
        ours = {"PYTHONPATH": str(ROOT), MINT: str(keys), REQUEST: request_id, ANSWERS: str(answers)}
        run = subprocess.run(asking, cwd=folder, env=os.environ | ours, capture_output=True, text=True, check=False)
        if run.returncode not in (0, 1):  # 1: something was wrong
            raise RuntimeError(run.stdout + run.stderr)
        found = msgspec.json.decode(report.read_bytes())
        return Findings(
            {failure["title"]: failure["operations"] for failure in found["failures"]},
            {error["title"]: error["count"] for error in found["errors"]},
            Counter(answers.read_text().splitlines()),
            run.stdout,
        )


@contextmanager
def _giving(mint: Callable[[], str]) -> Iterator[int]:
    """A port whose answer is a new key each time."""

    class Giving(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(mint().encode())

        def log_message(self, *_: object) -> None:
            """Nothing: standard error is somebody else's."""

    with HTTPServer(("127.0.0.1", 0), Giving) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()
