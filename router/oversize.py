"""Refuses a prompt that no server of a version could ever hold: waiting would not help it."""

from __future__ import annotations

from engines.api import SUBJECTS, Call, Rejected
from router.api import Notes
from router.limits import CERTAIN


def refuse_oversize(call: Call, notes: Notes, largest: float) -> None:
    """Raises Rejected if the prompt is beyond `largest`, in tokens by estimate, whatever else the body has.

    Images are guessed too roughly to be refused for, and of several prompts each is held by itself.
    """
    if notes.prompt <= largest:
        return
    subject = SUBJECTS[call.kind]
    text = bytes(call.fields[subject])
    single = notes.text_bytes == notes.body_bytes if call.kind == "chat" else text.startswith(b'"')
    tokens = notes.prompt * len(text) / notes.body_bytes
    if single and tokens > largest:
        raise Rejected(
            f"The servers of this model hold {largest / CERTAIN:.0f} tokens at most, and your prompt has about"
            f" {tokens:.0f}. Please shorten it.",
            param=subject,
            code="context_length_exceeded",
        )
