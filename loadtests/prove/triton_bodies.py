"""Whatever is asked of a model behind Triton is refused by name, or becomes what the model takes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from loadtests.prove.evidence import Bar, Verdict

ROOT = Path(__file__).parents[2]
TESTS = ("tests/properties/test_triton_inputs.py", "tests/flows/triton/test_bad_input.py")
COMMAND = (sys.executable, "-m", "pytest", "-q", "-k", "p14", "--hypothesis-profile=prove", *TESTS)


def prove() -> Verdict:
    """Any request becomes what its model takes or is refused by name: 5,000 random bodies for each property."""
    ran = subprocess.run(COMMAND, cwd=ROOT, capture_output=True, text=True, check=False)
    if ran.returncode:
        print(ran.stdout, ran.stderr, sep="\n", file=sys.stderr)
    said = ran.stdout.strip().splitlines()[-1:]
    return Verdict([Bar("exit status of the property tests", ran.returncode, 0, exact=True)], {"said": "".join(said)})
