"""One request in flight: what came in, and what time is left; it ends answered, whatever happened."""

from __future__ import annotations

import asyncio
import logging
from types import TracebackType
from typing import Self

from engines.api import Call, Interrupted, Kind, Usage
from engines.sweeper import NEVER
from gateway import preamble, sse
from gateway.answer import Answer, Wire
from gateway.capping import lower
from gateway.edge import Edge
from gateway.errors import BODY_CUT, DEADLINE, DRAINING, INTERNAL, SLOW_BODY, Problem, Refusal, problem
from gateway.intake import Intake
from gateway.logs import describe
from gateway.prompt import Prompt
from router.model import Model, Version
from security.api import Principal

_logger = logging.getLogger("snowshed")


class Exchange(Answer):
    """A hold like the others: entered by the pipeline, it is live; left, it is answered, closed and forgotten.

    `due` belongs to the sweeper: it bounds the body's arrival, sends keep-alive comments, cuts a client that does
    not read, and ends the request at its deadline.
    """

    __slots__ = ("_call", "_plain", "_reason", "headers", "intake", "kind", "most", "session", "task")

    def __init__(self, edge: Edge, kind: Kind, headers: preamble.Headers, wire: Wire, intake: Intake) -> None:
        Answer.__init__(self, edge, edge.record(kind), wire)  # a third of the cost of super(), on every request
        self.kind = kind
        self.headers = headers
        self.intake = intake
        self.task: asyncio.Task[None] | None = None
        self.session = b""
        """Calls with the same one belong together, as the caller says who may say so."""
        self.most: int | None = None
        """Tokens of each answer at which it is to end, whatever was asked for; None: nothing bounds it but that."""
        self._plain = False
        self._call: Call | None = None
        self._reason: Problem | None = None

    def __repr__(self) -> str:
        return f"<Exchange {self.record.id} {self.kind} [{self._phase}{', started' if self._started else ''}]>"

    def check(self) -> None:
        """Judge by the headers alone. Raises Refusal."""
        record, bounds = self.record, self._edge.bounds
        preamble.check(self.headers, self._edge.hosts)
        self._plain = preamble.READ.isdisjoint(self.headers)
        if not self._plain:
            record.label = preamble.label(self.headers)
            self.deadline = record.headers_at + preamble.seconds(self.headers, bounds.total_time)
        if self._edge.traffic.closed:
            raise Refusal(DRAINING)
        protection = self._edge.protection
        if protection.reason is not None and self._edge.accounts.in_flight > 1:  # a lone one is not too many
            raise Refusal(protection.refusal(protection.reason))

    def admit(self, principal: Principal) -> None:
        """Raises Forbidden for who is known, but may not call models, and Refusal for a class that there is not."""
        record = self.record
        record.tenant = principal.tenant
        record.key = principal.key_id
        record.rank = principal.rank
        record.weight = principal.weight
        principal.require("inference")
        if self._plain:
            return
        record.rank, heeded = preamble.rank(self.headers, principal.rank)
        if not heeded:
            self.ignore(preamble.URGENCY)
        if "routing" in principal.scopes:
            self.session = self.headers.get(preamble.SESSION, b"")
        else:
            self.ignore(preamble.STEERING)

    def ignore(self, names: frozenset[bytes]) -> None:
        """Headers that mean nothing from this caller: those that are there are counted."""
        self._edge.ignored.update(names.intersection(self.headers))

    async def body(self) -> bytes:
        """The whole body. Raises Refusal if it is too large, too slow or cut."""
        intake = self.intake
        body = intake.whole() if intake.complete else await intake.read()
        record = self.record
        record.body_at = self._edge.clock()
        record.body_bytes = len(body)
        return body

    def identify(self, prompt: Prompt, model: Model) -> None:
        """What is asked of which model; a version is still to be chosen."""
        self.record.model = model.name
        self.record.why = model.why
        self.record.stream = self.stream = prompt.stream
        self.record.text_bytes = prompt.text_bytes
        self._phase = "waiting"
        grace = self._edge.bounds.comment_grace
        self.due = min(self.deadline, self._edge.sweeper.soon(grace)) if prompt.stream else self.deadline

    def call(self, prompt: Prompt, version: Version) -> Call:
        """The request as the version's engines get it."""
        record = self.record
        record.version = version.label
        if self._call is None:  # another model's call comes after a wait that was not ours
            record.dispatched_at = self._edge.clock()
        fields = prompt.upstream_fields(version.upstream, version.cap_field, version.max_tokens)
        if self.most is not None:
            record.output_cap = lower(fields, version.cap_field, self.most)
        call = self._call = Call(
            record.id, self.kind, fields, version.model, prompt.stream, prompt.show_usage, self.deadline
        )
        record.whole = call.whole
        return call

    @property
    def shows_usage(self) -> bool:
        """Whether the stream says at its end what it has used."""
        return self._call is not None and self._call.show_usage

    @property
    def spent(self) -> Usage | None:
        """Of a call that was cut off before there was a reply to tell it."""
        return self._call.spent if self._call is not None else None

    @property
    def unwanted(self) -> bool:
        """Of one that was cancelled: whether by its client, who has left or had set a time that has passed."""
        if self._reason is DEADLINE:
            return self.deadline < self.record.headers_at + self._edge.bounds.total_time
        return self._reason is None

    def owes(self, error: BaseException, completion: int) -> bool:
        """Whether a request that ended so is charged what it has used, so many tokens of an answer among that.

        What came of an answer is; who leaves before that is charged as soon as a model server has the prompt. Failures
        and mistakes cost nothing, whatever a model server has counted by then.
        """
        cancelled = isinstance(error, asyncio.CancelledError)
        if completion > 0 and (cancelled or isinstance(error, Interrupted)):
            return True
        return cancelled and self.unwanted and self.record.attempts > 0

    # From outside

    def give_up(self, reason: Problem) -> None:
        """End the request from outside: every block unwinds, and the client is told why."""
        if self._reason is None and self.task is not None:
            self._reason = reason
            self.task.cancel()

    def abandon(self) -> None:
        """The client has left."""
        self.intake.fail(BODY_CUT)
        if self.task is not None:
            self.task.cancel()
        if self not in self._edge.traffic.live and not self._started:  # its turn never came: still, one record each
            with self._edge.accounts.open(self.record):
                self._leave()

    def _leave(self) -> None:
        if self._phase == "relaying" and self._last.endswith(sse.DONE):  # SDKs close once they see it
            self.record.outcome = "success"
            return
        self.record.client_gone = True
        self.record.code = "client_gone"

    # engines.sweeper.Watch

    def expire(self, now: float) -> None:
        self.due = NEVER
        if now >= self.deadline:
            self.give_up(DEADLINE)
        elif self._phase == "body":
            self.intake.fail(SLOW_BODY)
        elif self._phase == "stalled":
            self._cut_stalled()
        else:
            self._comment(now)

    def conclude(self, error: BaseException | None) -> None:
        """Have the record say how the request ended, for who must know before it is answered. Twice is as once."""
        if error is None:
            return
        if (spent := self.spent) is not None and self.owes(error, spent.completion):
            self.record.use(spent.prompt, spent.completion, exact=spent.exact)
        if isinstance(error, asyncio.CancelledError) and self._reason is None:
            self._leave()

    # The hold

    def __enter__(self) -> Self:
        self._edge.traffic.live.add(self)
        self._edge.sweeper.add(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> bool:
        edge = self._edge
        edge.traffic.live.discard(self)
        edge.sweeper.discard(self)
        self.intake.close()
        if exc is None:
            return False
        self.conclude(exc)
        if isinstance(exc, asyncio.CancelledError):
            if self._reason is None:
                self.wire.abort()
                return False
            self.fail(self._reason)
            return True
        trouble = problem(exc)
        if trouble is INTERNAL:
            # Neither the exception's text nor its locals: they may hold what the caller wrote.
            _logger.error("request broke", extra={"request": self.record.id, "exception": describe(exc)})
        self.fail(trouble)
        return True
