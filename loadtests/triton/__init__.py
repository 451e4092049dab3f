"""A real Triton Inference Server on this machine's CPU, with models that keep the contracts of TensorRT-LLM's."""

from loadtests.triton.command import Ports
from loadtests.triton.journal import Entry
from loadtests.triton.server import TritonError, TritonServer

__all__ = ["Entry", "Ports", "TritonError", "TritonServer"]
