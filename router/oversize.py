"""Refuses a prompt that no server of a version could ever hold: waiting would not help it."""

from __future__ import annotations

from engines.api import SUBJECTS, Call, Rejected
from router.api import Notes
from router.cost import TOKENS_PER_BYTE
from router.limits import CERTAIN


def refuse_oversize(call: Call, notes: Notes, largest: float) -> None:
    """Raises Rejected if the prompt is beyond `largest`, in tokens by estimate, whatever else the body has.

    It is estimated by its letters alone, too: what was learned comes of others' prompts, and by bytes a letter of some
    scripts, or one that is escaped, is several. Images are guessed too roughly to be refused for, and of several
    prompts each is held by itself.
    """
    if notes.prompt <= largest:
        return
    subject = SUBJECTS[call.kind]
    text = bytes(call.fields[subject])
    single = notes.text_bytes == notes.body_bytes if call.kind == "chat" else text.startswith(b'"')
    tokens = _letters(text) * TOKENS_PER_BYTE
    if single and tokens > largest:
        raise Rejected(
            f"The servers of this model hold {largest / CERTAIN:.0f} tokens at most, and your prompt has about"
            f" {tokens:.0f}. Please shorten it.",
            param=subject,
            code="context_length_exceeded",
        )


def _letters(text: bytes) -> int:
    """At most so many as there are: in JSON, what is escaped takes up to six signs for one."""
    return len(text.decode()) - text.count(b"\\") - 4 * text.count(b"\\u")
