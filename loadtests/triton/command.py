"""How the server that `scripts/triton` set up is called: its program, its words, its environment and its ports."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from loadtests.bench.processes import free_ports
from loadtests.triton.repository import MODELS

HOST = "127.0.0.1"
_HOME = Path(__file__).resolve().parents[2] / ".triton"
_PACKAGES = _HOME / "lib/python3.11/site-packages"
PROGRAM = _PACKAGES / "pytriton/tritonserver/bin/tritonserver"


@dataclass(frozen=True)
class Ports:
    """The server's three listeners; these are Triton's own defaults."""

    http: int = 8000
    grpc: int = 8001
    metrics: int = 8002

    @classmethod
    def free(cls) -> Ports:
        """Free just now, and never given to who takes any port; Triton does not start on one that is taken."""
        return cls(*free_ports(3))


def words(folder: Path, ports: Ports, models: Iterable[str]) -> list[str]:
    """The server's name is that of its `folder`, in which its models are; and its shared memory begins with it."""
    return [
        str(PROGRAM),
        f"--id={folder.name}",
        f"--model-repository={folder / 'models'}",
        f"--backend-directory={_HOME / 'backends'}",
        "--model-control-mode=explicit",
        *(f"--load-model={one}" for model in models for one in (*MODELS[model].needs, model)),
        "--disable-auto-complete-config",
        *(f"--{name}-address={HOST}" for name in vars(ports)),
        *(f"--{name}-port={port}" for name, port in vars(ports).items()),
        "--allow-gpu-metrics=false",
        "--backend-config=python,shm-default-byte-size=1048576",
        "--backend-config=python,shm-growth-byte-size=1048576",
        f"--backend-config=python,shm-region-prefix-name={folder.name}",
        "--exit-timeout-secs=5",
    ]


def environment(journal: Path, weights: Path | None) -> dict[str, str]:
    """A model's process takes Python's library from one variable, and all else of it from the first python3 on PATH."""
    return {
        "PATH": f"{_HOME / 'bin'}:/usr/bin:/bin",
        "LD_LIBRARY_PATH": f"{_HOME / 'libraries'}:{_PACKAGES / 'nvidia_pytriton.libs'}",
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        "TRITON_JOURNAL": str(journal),
        "TRITON_WEIGHTS": str(weights or ""),
    }
