"""Where the real package keeps its requests."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class LoRARequest:
    """A LoRA adapter by the path of its folder."""

    lora_name: str
    lora_int_id: int
    lora_path: str = ""
