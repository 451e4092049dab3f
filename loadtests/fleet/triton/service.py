"""The methods of Triton's GRPCInferenceService besides the stream: health, metadata, configuration, repository."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import grpc
from tritonclient.grpc import model_config_pb2, service_pb2

from loadtests.fleet.triton.contracts import VERSION, Model, Tensor
from loadtests.fleet.triton.requests import Refused

if TYPE_CHECKING:
    from loadtests.fleet.triton.server import TritonServer

SERVICE = "inference.GRPCInferenceService"
_DECOUPLED = "ModelInfer RPC doesn't support models with decoupled transaction policy"


def methods(server: TritonServer) -> grpc.GenericRpcHandler:
    """Messages of the stream stay bytes; those of the other methods are Triton's."""
    found: dict[str, Any] = {"ModelStreamInfer": grpc.stream_stream_rpc_method_handler(server.stream)}
    service = _Service(server)
    for name in (name for name in vars(_Service) if name[0].isupper()):
        found[name] = grpc.unary_unary_rpc_method_handler(
            _refusing(getattr(service, name)),
            request_deserializer=getattr(service_pb2, f"{name}Request").FromString,
            response_serializer=lambda message: message.SerializeToString(),
        )
    return grpc.method_handlers_generic_handler(SERVICE, found)


def _refusing(method: Callable[[Any], Awaitable[Any]]) -> Callable[[Any, Any], Awaitable[Any]]:
    async def answer(request: Any, context: Any) -> Any:
        try:
            return await method(request)
        except Refused as refusal:
            await context.abort(grpc.StatusCode.NOT_FOUND, str(refusal))
        except ValueError as refusal:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(refusal))
        except KeyError as unknown:
            text = f"failed to load {unknown}, failed to poll from model repository"
            await context.abort(grpc.StatusCode.INTERNAL, text)
        except NotImplementedError as refusal:
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, str(refusal))

    return answer


class _Service:
    """Each method is named and answers as the protocol says."""

    def __init__(self, server: TritonServer) -> None:
        self._server = server
        self._repository = server.repository

    async def _healthy(self) -> bool:
        health = self._server.replica.settings.health
        if health == 0:
            await asyncio.get_running_loop().create_future()
        return health == HTTPStatus.OK

    async def ServerLive(self, _request: Any) -> Any:  # noqa: N802 -- the protocol's name, as all that follow
        return service_pb2.ServerLiveResponse(live=await self._healthy())

    async def ServerReady(self, _request: Any) -> Any:  # noqa: N802
        return service_pb2.ServerReadyResponse(ready=await self._healthy() and self._repository.settled)

    async def ModelReady(self, request: Any) -> Any:  # noqa: N802
        ready = await self._healthy() and self._repository.ready(request.name, request.version)
        return service_pb2.ModelReadyResponse(ready=ready)

    async def ServerMetadata(self, _request: Any) -> Any:  # noqa: N802
        return service_pb2.ServerMetadataResponse(name="triton", version="2.51.0", extensions=["model_repository"])

    async def ModelMetadata(self, request: Any) -> Any:  # noqa: N802
        model = self._repository.known(request.name, request.version)
        response = service_pb2.ModelMetadataResponse(name=model.name, versions=[VERSION], platform=model.platform)
        wanted = (-1,) if model.max_batch_size else ()
        for ours, theirs in ((model.inputs, response.inputs), (model.outputs, response.outputs)):
            for tensor in ours.values():
                theirs.add(name=tensor.name, datatype=tensor.datatype, shape=(*wanted, *tensor.dims))
        return response

    async def ModelConfig(self, request: Any) -> Any:  # noqa: N802
        return service_pb2.ModelConfigResponse(config=_config(self._repository.known(request.name, request.version)))

    async def ModelInfer(self, request: Any) -> Any:  # noqa: N802
        self._repository.known(request.model_name, request.model_version)
        raise NotImplementedError(_DECOUPLED)

    async def RepositoryIndex(self, request: Any) -> Any:  # noqa: N802
        response = service_pb2.RepositoryIndexResponse()
        for name, state in self._repository.states.items():
            if state == "READY" or not request.ready:
                reason = "unloaded" if state == "UNAVAILABLE" else ""
                response.models.add(name=name, version=VERSION, state=state, reason=reason)
        return response

    async def RepositoryModelLoad(self, request: Any) -> Any:  # noqa: N802
        self._repository.load(request.model_name)
        return service_pb2.RepositoryModelLoadResponse()

    async def RepositoryModelUnload(self, request: Any) -> Any:  # noqa: N802
        if request.model_name in self._repository.states:  # nobody minds if it is not
            self._server.unload(request.model_name)
        return service_pb2.RepositoryModelUnloadResponse()

    async def ModelStatistics(self, request: Any) -> Any:  # noqa: N802
        counts = self._server.replica.calls.counts
        response = service_pb2.ModelStatisticsResponse()
        served = self._server.contract.served.name
        for name in [request.name] if request.name else self._repository.states:
            if name not in self._repository.states:
                raise ValueError(f"requested model '{name}' is not available")
            done = counts["finished"] if name == served else 0
            entry = response.model_stats.add(name=name, version=VERSION, inference_count=done, execution_count=done)
            entry.inference_stats.success.count = done
            entry.inference_stats.fail.count = counts["fault"] if name == served else 0
        return response


def _config(model: Model) -> Any:
    config = model_config_pb2.ModelConfig(
        name=model.name, platform=model.platform, backend=model.backend, max_batch_size=model.max_batch_size
    )
    config.version_policy.latest.num_versions = 1
    for tensor in model.inputs.values():
        config.input.add(optional=tensor.optional, **_declaration(tensor))
    for tensor in model.outputs.values():
        config.output.add(**_declaration(tensor))
    config.model_transaction_policy.decoupled = model.decoupled
    for step in model.steps:
        config.ensemble_scheduling.step.add(model_name=step, model_version=-1)
    return config


def _declaration(tensor: Tensor) -> dict[str, Any]:
    kind = "STRING" if tensor.datatype == "BYTES" else tensor.datatype
    return {"name": tensor.name, "data_type": f"TYPE_{kind}", "dims": tensor.dims}
