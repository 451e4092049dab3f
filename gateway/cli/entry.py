"""A file with an entry of the configuration, for commands that set one in running gateways."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gateway.cli.trouble import Mistake

LONGEST = 1 << 20
"""Bytes of a file, as of the configuration's."""


def read_entry(file: Path) -> Any:
    """What is in it, to be sent as JSON. Raises Mistake."""
    from gateway.config.strict_yaml import UnreadableError, parse

    try:
        with file.open("rb") as opened:
            content = opened.read(LONGEST + 1)
        if len(content) > LONGEST:
            raise Mistake(f"{file}: longer than {LONGEST} bytes")
        entry = parse(content.decode(), str(file))
        json.dumps(entry)
        if entry is None:
            raise Mistake(f"{file}: is empty")
    except OSError as error:
        raise Mistake(f"{file}: {error.strerror}") from None
    except UnreadableError as error:
        raise Mistake(str(error)) from None
    except UnicodeDecodeError:
        raise Mistake(f"{file}: not UTF-8") from None
    except (TypeError, ValueError):
        raise Mistake(f"{file}: holds what JSON has no word for; put quotes around a date") from None
    return entry
