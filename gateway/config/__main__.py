"""`python -m gateway.config` writes the schema and the reference anew, after a setting has changed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from gateway.config.reference import reference
from gateway.config.schema import schema

FOLDER = Path("docs/reference")


def documents() -> Mapping[str, str]:
    """What the folder must hold, by name."""
    return {
        "config.schema.json": json.dumps(schema(), indent=2, ensure_ascii=False) + "\n",
        "config.yaml": reference(),
    }


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in documents().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
