"""What the server allows us, as its SETTINGS say."""

from __future__ import annotations

from engines.grpc.http2 import frames
from engines.grpc.http2.frames import ErrorCode, Violation


class Terms:
    """`max_streams` at a time; a new stream's `window` and a frame's payload, `max_frame`, in bytes."""

    __slots__ = ("max_frame", "max_streams", "window")

    def __init__(self) -> None:
        self.max_streams = frames.MAX_STREAM  # no limit, until one is named
        self.window = frames.DEFAULT_WINDOW
        self.max_frame = frames.DEFAULT_FRAME

    def __repr__(self) -> str:
        return f"<Terms {self.max_streams} streams, window {self.window}, frame {self.max_frame}>"

    def change(self, payload: bytes) -> None:
        """Take over a SETTINGS frame's content. Raises Violation for values that are not allowed."""
        if len(payload) % frames.SETTING.size:
            raise Violation(ErrorCode.FRAME_SIZE_ERROR, "a cut setting")
        for name, value in frames.SETTING.iter_unpack(payload):
            if name == frames.MAX_CONCURRENT_STREAMS:
                self.max_streams = value
            elif name == frames.INITIAL_WINDOW_SIZE:
                if value > frames.MAX_WINDOW:
                    raise Violation(ErrorCode.FLOW_CONTROL_ERROR, "too large an initial window")
                self.window = value
            elif name == frames.MAX_FRAME_SIZE:
                if not frames.DEFAULT_FRAME <= value < 2**24:
                    raise Violation(ErrorCode.PROTOCOL_ERROR, "a frame size that is not allowed")
                self.max_frame = value
            elif name == frames.ENABLE_PUSH and value:
                raise Violation(ErrorCode.PROTOCOL_ERROR, "the server wants to push")
