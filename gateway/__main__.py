"""`python -m gateway` and `snowshed`: see `gateway/cli/program.py`."""

from __future__ import annotations

import sys

from gateway.cli.program import main

if __name__ == "__main__":
    sys.exit(main())
