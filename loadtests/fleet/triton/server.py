"""Triton's gRPC side of one replica: takes requests, refuses what the real one refuses, and queues the others."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
from google.protobuf.message import DecodeError
from tritonclient.grpc import service_pb2

from loadtests.fleet.listener import Listener
from loadtests.fleet.settings import directed, directive_in
from loadtests.fleet.triton.answers import answer
from loadtests.fleet.triton.contracts import CONTRACTS, ContractName, Model
from loadtests.fleet.triton.messages import Messages
from loadtests.fleet.triton.relay import Relay
from loadtests.fleet.triton.repository import Repository
from loadtests.fleet.triton.requests import Failed, Refused, Values, logged, read
from loadtests.fleet.triton.service import SERVICE, methods
from loadtests.fleet.triton.stream import Stream, StreamTurn

if TYPE_CHECKING:
    from loadtests.fleet.replica import Replica

_PATH = f"/{SERVICE}/ModelStreamInfer"
_OPTIONS = (("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))
_BURST = 1.0
"""Seconds in which cancels count as one burst."""


class TritonServer:
    """Serves from `start` until `aclose` at `listener`, which is that of the clients."""

    def __init__(self, replica: Replica, contract: ContractName) -> None:
        self.replica = replica
        self.contract = CONTRACTS[contract]
        self.repository = Repository(self.contract)
        self.streams: set[Stream] = set()
        self.listener: Listener
        self._turns: set[StreamTurn] = set()
        self._by_id: dict[str, StreamTurn] = {}
        self._cancels: deque[float] = deque()
        self._relays: dict[int, Relay] = {}
        self._server: grpc.aio.Server

    def __repr__(self) -> str:
        return f"<TritonServer {self.contract.name} {len(self._turns)} requests on {len(self.streams)} streams>"

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.listener.port}"

    async def start(self, port: int = 0) -> None:
        self._server = grpc.aio.server(options=_OPTIONS)
        self._server.add_generic_rpc_handlers((methods(self),))
        inside = self._server.add_insecure_port("127.0.0.1:0")
        self.listener = Listener(lambda listener: Relay(listener, inside, self._relays), port)
        await self._server.start()
        self.listener.listen("open")

    async def aclose(self) -> None:
        await self.listener.aclose()
        await self._server.stop(None)

    def reset(self) -> None:
        """All models ready, nothing wedged. Requests that run go on."""
        self.repository.reset()
        self._cancels.clear()

    def stats(self) -> dict[str, Any]:
        return {"open_streams": len(self.streams), "models": dict(self.repository.states)}

    def relay(self, peer: str) -> Relay | None:
        """The connection by which the server's `peer` came."""
        return self._relays.get(int(peer.rpartition(":")[2]))

    async def stream(self, requests: Any, context: Any) -> None:
        """Serve one ModelStreamInfer call."""
        stream = Stream(self, context)
        self.streams.add(stream)
        try:
            await stream.serve(requests)
        finally:
            self.streams.discard(stream)

    def begin(self, stream: Stream, data: bytes) -> None:
        """A request came on a stream."""
        try:
            request = service_pb2.ModelInferRequest.FromString(data)
        except DecodeError:
            stream.end()
            return
        headers = [(_bytes(name), _bytes(value)) for name, value in stream.context.invocation_metadata() or ()]
        call = self.replica.calls.open(_PATH, headers, logged(request, None))
        call.model = request.model_name
        turn = StreamTurn(stream, self.replica, call, self.replica.settings)
        turn.messages = Messages(service_pb2, request.model_name, request.id)
        turn.id = request.id
        turn.empty_final = request.parameters["triton_enable_empty_final_response"].bool_param
        try:
            model = self.repository.known(request.model_name, request.model_version)
            values = read(model, request)
            call.raw = logged(request, values)
            if values.get("stop") == [True]:
                self._stop(turn)
                return
            self._plan(turn, model, values, frozenset(one.name for one in request.outputs))
        except (Refused, ValueError) as refusal:  # msgspec's errors, too
            stream.write(turn.messages.error(str(refusal)))
            self._close(turn, str(refusal))
        except Failed as failure:
            turn.fail(str(failure))
            self._close(turn, str(failure))
        else:
            self._enter(turn, request.parameters["timeout"].int64_param)

    def leave(self, turn: StreamTurn) -> None:
        """A request has ended."""
        self._turns.discard(turn)
        if self._by_id.get(turn.id) is turn:
            del self._by_id[turn.id]
        if not self._turns:
            self.repository.idle(self.contract.served.name)

    def unload(self, name: str) -> None:
        self.repository.unload(name, busy=name == self.contract.served.name and bool(self._turns))

    def cancelled(self) -> None:
        """A client has left before the end: after a burst of that, an engine may never answer again."""
        now = time.monotonic()
        self._cancels.append(now)
        while self._cancels[0] < now - _BURST:
            self._cancels.popleft()
        bound = self.replica.settings.wedge_cancels
        if bound and len(self._cancels) >= bound:
            self.replica.set(wedged=True)

    def _plan(self, turn: StreamTurn, model: Model, values: Values, wanted: frozenset[str]) -> None:
        """Raises `Refused`, `Failed` or `ValueError`."""
        if model is not self.contract.served:
            raise Refused(f"model '{model.name}' takes nothing but stop here")
        if missing := [name for name in model.required if not values.get(name)]:
            raise Failed(f"Error generating request: {missing[0]} is missing")
        if directive := directive_in(values["text_input"][0]):
            turn.settings = directed(turn.settings, directive)
        turn.answer = answer(self.contract, values, wanted, turn.settings, turn.call.number)
        turn.call.stream = turn.answer.stream
        turn.call.fault = turn.settings.fault
        turn.call.prompt_tokens = turn.answer.plan.prompt_tokens

    def _enter(self, turn: StreamTurn, timeout: int) -> None:
        """Into the queue, if there is room. `timeout`: µs it is ready to wait, 0 if it does not say."""
        self._turns.add(turn)
        self._by_id[turn.id] = turn
        turn.stream.turns.add(turn)
        bound = turn.settings.max_queue
        wait = turn.settings.queue_timeout_ms / 1000
        self.replica.enter(turn)
        if turn.call.served is not None:
            return
        if bound and self.replica.queued > bound:
            turn.refuse("Exceeds maximum queue size")
        elif wait:
            wait = min(wait, timeout / 1e6) if timeout else wait
            turn.expiry = self.replica.loop.call_later(wait, turn.refuse, "Request timeout expired")

    def _stop(self, turn: StreamTurn) -> None:
        """Ends the request that runs under the same id, when it comes to its next token; says so even if none does."""
        if other := self._by_id.get(turn.id):
            other.stopped = True
        turn.stop()
        self.replica.calls.close(turn.call, "finished")

    def _close(self, turn: StreamTurn, why: str) -> None:
        """A request that the model did not take."""
        turn.call.fault = why
        self.replica.calls.close(turn.call, "fault")


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode("latin-1")
