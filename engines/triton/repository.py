"""A Triton server's models as its operator sees them: which there are, whether they are ready, load, unload, counts.

Everything raises RpcError; its details are the server's words, tracebacks included: for operators, not for clients.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from engines.grpc.api import Channel, Code, RpcError
from engines.triton.profiles.api import Declared, ModelFacts

SERVICE = "/inference.GRPCInferenceService/"

State = Literal["READY", "LOADING", "UNLOADING", "UNAVAILABLE", "UNKNOWN"]


@dataclass(slots=True, frozen=True)
class ModelState:
    """One version of a model in the repository. `version` is "" and `state` UNKNOWN for one that was never loaded."""

    name: str
    version: str
    state: State
    reason: str


@dataclass(slots=True, frozen=True)
class Statistics:
    """What one version of a model has done since it was loaded; times are sums, in seconds."""

    name: str
    version: str
    succeeded: int
    failed: int
    inferences: int
    executions: int
    queued: float
    computed: float


class Repository:
    """A client of one server over a channel it does not own. `timeout`, in seconds, bounds each question but `load`.

    Loading may take as long as a model of many gigabytes needs: `load_timeout`.
    """

    def __init__(self, channel: Channel, *, timeout: float = 5.0, load_timeout: float = 1800.0) -> None:
        self._channel = channel
        self._patience = timeout
        self._load_patience = load_timeout

    def __repr__(self) -> str:
        return f"<Repository over {self._channel!r}>"

    async def live(self) -> bool:
        """Whether the server answers; not whether any model does."""
        answer: bool = (await self._ask("ServerLive")).live
        return answer

    async def ready(self, model: str, version: str = "") -> bool:
        """Whether this model takes requests. The server as a whole is "not ready" while any model loads."""
        try:
            answer: bool = (await self._ask("ModelReady", name=model, version=version)).ready
        except RpcError as error:
            if error.code in (Code.NOT_FOUND, Code.INVALID_ARGUMENT):
                return False
            raise
        return answer

    async def facts(self, model: str, version: str = "") -> ModelFacts:
        """What the model's config says of it."""
        return _facts((await self._ask("ModelConfig", name=model, version=version)).config)

    async def index(self, *, ready_only: bool = False) -> list[ModelState]:
        """All versions of all models, those that were never loaded as well."""
        answer = await self._ask("RepositoryIndex", ready=ready_only)
        return [
            ModelState(entry.name, entry.version, entry.state or "UNKNOWN", entry.reason) for entry in answer.models
        ]

    async def load(self, model: str, config: Mapping[str, Any] | None = None) -> None:
        """Load or reload; returns once it serves. A `config` **replaces** the model's own whole config, it adds nothing
        to it; an ensemble reloads its composing models too.
        """
        message = self._request("RepositoryModelLoad", model_name=model)
        if config is not None:
            message.parameters["config"].string_param = msgspec.json.encode(config).decode()
        await self._send("RepositoryModelLoad", message, self._load_patience)

    async def unload(self, model: str, *, dependents: bool = False) -> None:
        """Returns at once; running requests end, new ones are told that there are no available versions."""
        message = self._request("RepositoryModelUnload", model_name=model)
        if dependents:
            message.parameters["unload_dependents"].bool_param = True
        await self._send("RepositoryModelUnload", message, self._patience)

    async def statistics(self, model: str = "", version: str = "") -> list[Statistics]:
        """Of one model, or of all; they restart whenever a model is loaded again."""
        answer = await self._ask("ModelStatistics", name=model, version=version)
        return [_statistics(entry) for entry in answer.model_stats]

    async def _ask(self, method: str, **fields: object) -> Any:
        return await self._send(method, self._request(method, **fields), self._patience)

    def _request(self, method: str, **fields: object) -> Any:
        from tritonclient.grpc import service_pb2

        return getattr(service_pb2, f"{method}Request")(**fields)

    async def _send(self, method: str, message: Any, patience: float) -> Any:
        from google.protobuf.message import DecodeError
        from tritonclient.grpc import service_pb2

        rpc = self._channel.open(SERVICE + method, message.SerializeToString(), timeout=patience)
        try:
            answer = await rpc.read()
            if answer is None or await rpc.read() is not None:
                raise RpcError(Code.INTERNAL, f"{method} was not answered once.")
        finally:
            rpc.cancel()
        try:
            return getattr(service_pb2, f"{method}Response").FromString(answer)
        except DecodeError:
            raise RpcError(Code.INTERNAL, f"{method} was answered with something else.") from None


def _facts(config: Any) -> ModelFacts:
    return ModelFacts(
        name=config.name,
        platform=config.platform,
        backend=config.backend,
        max_batch_size=config.max_batch_size,
        instances=sum(group.count * max(1, len(group.gpus)) for group in config.instance_group),
        batches=config.HasField("dynamic_batching"),
        decoupled=config.model_transaction_policy.decoupled,
        inputs={tensor.name: _declared(tensor, optional=tensor.optional) for tensor in config.input},
        outputs={tensor.name: _declared(tensor, optional=False) for tensor in config.output},
        parameters={name: value.string_value for name, value in config.parameters.items()},
        steps=tuple(step.model_name for step in config.ensemble_scheduling.step),
    )


def _declared(tensor: Any, *, optional: bool) -> Declared:
    from tritonclient.grpc import model_config_pb2

    known = model_config_pb2.DataType.DESCRIPTOR.values_by_number.get(tensor.data_type)
    datatype = known.name.removeprefix("TYPE_") if known else f"number {tensor.data_type}"  # newer than what we know
    return Declared("BYTES" if datatype == "STRING" else datatype, tuple(tensor.dims), optional)


def _statistics(entry: Any) -> Statistics:
    stats = entry.inference_stats
    computed = stats.compute_input.ns + stats.compute_infer.ns + stats.compute_output.ns
    return Statistics(
        name=entry.name,
        version=entry.version,
        succeeded=stats.success.count,
        failed=stats.fail.count,
        inferences=entry.inference_count,
        executions=entry.execution_count,
        queued=stats.queue.ns / 1e9,
        computed=computed / 1e9,
    )
