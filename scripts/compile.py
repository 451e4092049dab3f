"""Compile the hot path to machine code, into .compiled/, where `snowshed serve` finds it; see gateway/compiled.py.

Takes a C compiler and Python's headers, and mypyc, which reads the types that the sources have anyway. What is made is
put in its place at the end: who is interrupted has changed nothing.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import sys
from pathlib import Path

from mypyc.build import mypycify
from setuptools import Distribution
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.chdir(ROOT)

from gateway import compiled  # noqa: E402  # found by the line above

GROUP = "snowshed"
MODULES = (
    "engines/choices.py",
    "engines/connection.py",
    "engines/events.py",
    "engines/http.py",
    "engines/openai.py",
    "engines/replies.py",
    "engines/sweeper.py",
    "gateway/accounts.py",
    "gateway/answer.py",
    "gateway/capping.py",
    "gateway/charging.py",
    "gateway/cutting.py",
    "gateway/edge.py",
    "gateway/exchange.py",
    "gateway/front_door.py",
    "gateway/head.py",
    "gateway/http_wire.py",
    "gateway/intake.py",
    "gateway/limiting.py",
    "gateway/media.py",
    "gateway/mesh_door.py",
    "gateway/pipeline.py",
    "gateway/preamble.py",
    "gateway/prompt.py",
    "gateway/quotas.py",
    "gateway/rate_headers.py",
    "gateway/relay.py",
    "gateway/request_log.py",
    "gateway/reserving.py",
    "gateway/routing.py",
    "gateway/turns.py",
    "router/admission.py",
    "router/breaker.py",
    "router/catalog.py",
    "router/comebacks.py",
    "router/cost.py",
    "router/dispatch.py",
    "router/gate.py",
    "router/judging.py",
    "router/outcomes.py",
    "router/outputs.py",
    "router/oversize.py",
    "router/pool.py",
    "router/quarantine.py",
    "router/retries.py",
    "router/standing.py",
    "router/ticket.py",
    "security/authenticator.py",
    "security/exposure.py",
    "security/limits/cashier.py",
    "security/limits/denials.py",
    "security/limits/gcra.py",
    "security/limits/local.py",
    "security/limits/outbox.py",
    "security/limits/output.py",
    "security/limits/purse.py",
    "security/limits/redis_store.py",
    "security/limits/spending.py",
    "security/open_door.py",
)
"""What each request and each chunk passes through. Declarations that a library reads at run time are not among it."""


def main() -> None:
    """Exit status 1, with the compiler's words, if it can't be done."""
    folder, fresh = compiled.FOLDER, ROOT / ".compiled.new"
    shutil.rmtree(fresh, ignore_errors=True)
    said = io.StringIO()  # where all is well, only which lines might be faster
    try:
        with contextlib.redirect_stdout(said):
            extensions = mypycify(
                ["--config-file", "pyproject.toml", *MODULES],
                opt_level="3", debug_level="0", group_name=GROUP, target_dir=str(fresh / "c"),
            )  # fmt: skip
    except SystemExit:
        print(said.getvalue(), end="")
        raise
    command = build_ext(Distribution({"name": GROUP, "ext_modules": extensions}))
    command.build_lib, command.build_temp = str(fresh), str(fresh / "c")
    command.finalize_options()
    command.run()
    shutil.rmtree(fresh / "c")
    files = {each.name: command.get_ext_filename(each.name) for each in extensions}
    manifest = {"fingerprint": compiled.fingerprint(), "modules": files}
    (fresh / compiled.MANIFEST).write_text(json.dumps(manifest, indent=1))
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)
    print(f"{len(MODULES)} modules compiled into {folder.name}/; snowshed serve uses them until a source changes.")


if __name__ == "__main__":
    main()
