"""The control verbs: read and change settings, read the log, close and open the listener, while requests run.

    GET  /_control            the settings                    POST /_control  changes them: a JSON object of members
    GET  /_calls?since=N      the calls after number N        POST /_reset    settings as started, empty log, open
    GET  /_calls              the newest 10,000               GET  /_stats    counts and gauges
    POST /_listen             {"mode": "open" | "refused" | "backlog_full", "drop": true: reset present connections}

On a replica's port they are about that replica; on the control port, which is always open and never counted, about the
one named by `?replica=K` (default 0).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import msgspec

from loadtests.fleet.answers import error
from loadtests.fleet.calls import Forgotten
from loadtests.fleet.settings import Mode

if TYPE_CHECKING:
    from loadtests.fleet.replica import Replica


@dataclass(slots=True)
class Order:
    """A request that is no call to the model."""

    method: str
    path: str
    query: str
    body: bytes


class Listen(msgspec.Struct, forbid_unknown_fields=True):
    """What a listener shall do from now on, and whether present connections are reset."""

    mode: Mode = "open"
    drop: bool = False


def obey(fleet: list[Replica], own: Replica | None, order: Order) -> tuple[int, bytes]:
    """Status and JSON body of the answer to `order`, which came in on the port of `own`."""
    try:
        query = {key: int(values[0]) for key, values in parse_qs(order.query).items()}
        replica = own or fleet[query.get("replica", 0)]
        if order.method == "POST":
            _command(replica, order)
        answer = _report(replica, order.path, query.get("since"))
    except LookupError:
        return 404, error(f"No {order.method} {order.path} here.", "invalid_request_error", "not_found")
    except Forgotten as gone:
        return 410, error(str(gone), "invalid_request_error", "forgotten")
    except ValueError as nonsense:  # msgspec's errors, too
        return 400, error(str(nonsense), "invalid_request_error", None)
    return 200, msgspec.json.encode(answer)


def _command(replica: Replica, order: Order) -> None:
    match order.path:
        case "/_control":
            replica.set(**msgspec.json.decode(order.body, type=dict[str, Any]))
        case "/_reset":
            replica.reset()
        case "/_listen":
            wish = msgspec.json.decode(order.body, type=Listen)
            replica.listen(wish.mode, drop=wish.drop)
        case _:
            raise LookupError


def _report(replica: Replica, path: str, since: int | None) -> Any:
    match path:
        case "/_control":
            return replica.settings
        case "/_calls":
            calls = replica.calls if since is None else replica.calls.since(since)
            return [call.as_dict() for call in calls]
        case "/_stats" | "/_reset" | "/_listen":
            return replica.stats()
    raise LookupError
