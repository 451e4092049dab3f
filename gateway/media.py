"""What images, sound, film and files in a chat count for, where its tokens are estimated by its size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from gateway.messages import Message, Part
from router.cost import TOKENS_PER_BYTE

TOKENS: Final = 1024
"""Of each of them, before anything is learned. Models take some hundred to some thousand for an image, by its pixels
and not by its bytes (OpenAI's 85 to 1105; LLaVA 576 and Qwen2.5-VL 1369 for one of a megapixel), and 750 for half a
minute of sound. Films and files may take more, but by their bytes they would be refused for ever.
"""
BYTES: Final = int(TOKENS / TOKENS_PER_BYTE)
"""Of text that would come to as many."""


def text_bytes(body: bytes, messages: Sequence[Message]) -> int:
    """The size of a body as if each image, film, file and piece of sound in it were BYTES of text."""
    # Most contents are one text; only where there are parts are they looked at.
    media = [data for message in messages if type(message.content) is list for data in _media(message.content)]
    if not media:
        return len(body)
    slashes = min(body.count(rb"\/"), sum(data.count("/") for data in media))  # some clients escape them
    return max(len(body) - sum(map(len, media)) - slashes, 0) + BYTES * len(media)


def _media(parts: Sequence[Part]) -> Iterator[str]:
    """The data of each, "" for one that is elsewhere."""
    for part in parts:
        if part.input_audio is not None:
            yield part.input_audio.data
        if part.file is not None:
            yield part.file.file_data or ""
        for there in (part.image_url, part.video_url, part.audio_url):
            if there is not None:
                url = there if isinstance(there, str) else there.url
                yield url if url.startswith("data:") else ""
