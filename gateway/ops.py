"""The listener for machines that watch this one: /livez, /readyz and /metrics, whatever the event loop is doing."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from http import HTTPStatus

from gateway.heartbeat import Heartbeat
from gateway.metrics import CONTENT_TYPE
from gateway.one_shot import Last, OneShotServer
from gateway.ops_http import Answer, Request, failure, parse, success

_logger = logging.getLogger("snowshed")


class OpsServer:
    """Serves from `start` to `close`. `readiness` and `render` run on its thread and may only read plain state.

    `readiness` gives the reasons, for people, why no request should be sent here; none means ready.
    """

    def __init__(
        self,
        host: str,
        port: int,
        heartbeat: Heartbeat,
        readiness: Callable[[], Sequence[str]],
        render: Callable[[], bytes],
    ) -> None:
        self._heartbeat = heartbeat
        self._readiness = readiness
        self._render = render
        self.warnings: Callable[[], Sequence[str]] = tuple
        """What is wrong although the gateway is ready; set by who knows of such things."""
        self._server = OneShotServer(host, port, self._respond)

    def __repr__(self) -> str:
        return f"<OpsServer on {self._server!r}>"

    @property
    def port(self) -> int:
        """The port asked for; once started, the one it listens on."""
        return self._server.port

    def start(self) -> None:
        """Bind and serve on a daemon thread. Raises OSError if the address can't be had."""
        self._server.start()

    def close(self) -> None:
        """Stop at once. Last of all at shutdown: until then probes hear that the gateway drains."""
        self._server.close()

    def _respond(self, received: bytes) -> Last | None:
        request = parse(received)
        if request is None:
            return None
        if isinstance(request, Answer):
            return Last(request.encode(), drain=True)
        try:
            answer = self._answer(request)
        except Exception:
            _logger.exception("ops request broke", extra={"path": request.path})
            answer = failure(HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error", "No answer could be made.")
        return Last(answer.encode(head_only=request.method == "HEAD"))

    def _answer(self, request: Request) -> Answer:
        match request.path:
            case "/livez":
                return self._live()
            case "/readyz":
                return self._ready()
            case "/metrics":
                return Answer(HTTPStatus.OK, self._render(), CONTENT_TYPE)
        return failure(HTTPStatus.NOT_FOUND, "not_found", "Only /livez, /readyz and /metrics are served here.")

    def _live(self) -> Answer:
        age = round(self._heartbeat.age(self._heartbeat.clock()), 3)
        if age < self._heartbeat.stale_after:
            return success({"live": True, "heartbeat_age_s": age})
        message = _stalled(age)
        return failure(HTTPStatus.SERVICE_UNAVAILABLE, "not_live", message, live=False, heartbeat_age_s=age)

    def _ready(self) -> Answer:
        reasons = list(self._readiness())
        age = self._heartbeat.age(self._heartbeat.clock())
        if age >= self._heartbeat.stale_after:
            reasons.append(_stalled(age))
        if not reasons:
            return success({"ready": True, "reasons": [], "warnings": list(self.warnings())})
        message = "Not ready: " + "; ".join(reasons)
        return failure(HTTPStatus.SERVICE_UNAVAILABLE, "not_ready", message, ready=False, reasons=reasons)


def _stalled(age: float) -> str:
    return f"The event loop has not come round for {age:.1f} s."
