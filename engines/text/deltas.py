"""What a server's raw text adds to what was already said, given out only when it can no longer change.

A token is not a unit of text: characters arrive in parts, and a server that decodes half of one shows U+FFFD until it
has the rest. Both are held back. An answer that ends within a character ends with U+FFFD, as whoever decodes the
whole sees it; bytes that no further byte can make UTF-8 raise ValueError.
"""

from __future__ import annotations

from codecs import utf_8_decode

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_REPLACEMENT_BYTES = len(REPLACEMENT.encode())


class Deltas:
    """For a server that sends each piece once."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = b""

    def __repr__(self) -> str:
        return f"<Deltas {len(self._held)} bytes held>"

    def feed(self, raw: bytes) -> str:
        """The text that `raw` completes. A U+FFFD that such a server sent is sent: it will not take it back."""
        if self._held:
            raw = self._held + raw
        text, used = utf_8_decode(raw, "strict", False)  # noqa: FBT003  # a builtin without keywords: not the end yet
        self._held = raw[used:]
        return text

    taken_back = ""

    def flush(self) -> str:
        """The end: half a character that is still held, as U+FFFD."""
        held, self._held = self._held, b""
        return held.decode(errors="replace")


class Cumulative:
    """For a server that repeats the whole text each time.

    Costs a comparison of all that was said (at the speed of memcmp) and the decoding of what is new. A text that falls
    back behind what was said adds nothing until it is longer again: a server that decodes bytes as a group shows
    U+FFFD in place of characters that it had right, and one that finds its stop string cuts it off. A text that says
    something else in place of what was said raises ValueError, as it can't be unsaid.
    """

    __slots__ = ("_last", "_said")

    def __init__(self) -> None:
        self._said = b""
        self._last = b""

    def __repr__(self) -> str:
        return f"<Cumulative {len(self._said)} of {len(self._last)} bytes said>"

    def feed(self, raw: bytes) -> str:
        """What `raw`, the text from the beginning, adds. Empty text, as last messages have it, says nothing."""
        if not raw:
            return ""
        before = len(self._said)
        if not raw.startswith(self._said):
            self._check_shorter(raw)
            self._last = raw
            return ""
        text, used = utf_8_decode(raw[before:], "strict", False)  # noqa: FBT003  # as above
        if text.endswith(REPLACEMENT):
            stable = text.rstrip(REPLACEMENT)
            used -= _REPLACEMENT_BYTES * (len(text) - len(stable))
            text = stable
        self._last = raw
        if text:
            self._said = raw if before + used == len(raw) else raw[: before + used]
        return text

    @property
    def taken_back(self) -> str:
        """What was said and is no part of the text any more: some servers cut off a stop string once it is whole."""
        return self._said[len(self._last) :].decode(errors="replace") if self._said.startswith(self._last) else ""

    def _check_shorter(self, raw: bytes) -> None:
        """Raise ValueError unless `raw` is the beginning of what was said, but for the characters it has lost."""
        stable = utf_8_decode(raw, "strict", False)[0].rstrip(REPLACEMENT).encode()  # noqa: FBT003  # as above
        if not self._said.startswith(stable):
            raise ValueError("the server changed text that it had already sent")

    def flush(self) -> str:
        """The end: what was held back, as it is. Nothing, where the text ended behind what was said."""
        rest = self._last[len(self._said) :] if self._last.startswith(self._said) else b""
        self._said = self._last
        return rest.decode(errors="replace")
