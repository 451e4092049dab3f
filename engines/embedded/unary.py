"""A unary answer out of a stream.

The child is always asked to stream. llama.cpp looks whether the caller of a unary call has left only after a second in
which no call had any result, so beside a busy neighbour it would compute for nobody to the end; a stream that nobody
reads fails at its next token.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import msgspec

from engines.api import Call, Failed, Interrupted, Reply
from engines.replies import UnaryReply

_HEADERS = {b"content-type": b"application/json"}


async def gather(call: Call, reply: Reply) -> UnaryReply:
    """Read a stream to its end and leave it. Raises Failed if it breaks: the client has seen nothing of it yet."""
    with reply:
        try:
            stream = b"".join([data async for data in reply])
        except BaseException as error:
            call.spent = reply.usage
            if isinstance(error, Interrupted):
                raise Failed(error.message, died=error.died) from None
            raise
    return UnaryReply(_HEADERS, assemble(stream), reply.usage)


def assemble(stream: bytes) -> bytes:
    """The document that the same call would have had without streaming: one choice, its texts joined."""
    chunks = [msgspec.json.decode(event[6:]) for event in stream.split(b"\n\n") if event.startswith(b"data: {")]
    whole: dict[str, Any] = {name: chunks[0][name] for name in ("id", "created", "model", "system_fingerprint")}
    choice: dict[str, Any] = {"index": 0, "logprobs": None, "finish_reason": None}
    said: defaultdict[str, str] = defaultdict(str)
    tokens: list[Any] = []
    for chunk in chunks:
        whole["usage"] = chunk.get("usage")
        for piece in chunk["choices"]:
            for name, text in (piece["delta"] if "delta" in piece else {"text": piece["text"]}).items():
                said[name] += text or ""
            tokens += (piece.get("logprobs") or {}).get("content") or ()
            choice["finish_reason"] = piece["finish_reason"]
    if tokens:
        choice["logprobs"] = {"content": tokens, "refusal": None}
    if chunks[0]["object"] == "text_completion":
        return msgspec.json.encode(whole | {"object": "text_completion", "choices": [choice | said]})
    message = {"role": "assistant", "content": ""} | said | {"role": "assistant"}
    return msgspec.json.encode(whole | {"object": "chat.completion", "choices": [choice | {"message": message}]})
