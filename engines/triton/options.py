"""What a configuration says of one Triton server and the model there."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from engines.choices import OneOf
from engines.generating.adapters import AdapterOptions
from engines.generating.cancelling import CancelPolicy
from engines.generating.limits import Limits, Policy
from engines.grpc.http2.dialling import context
from engines.grpc.tls import Tls
from engines.text.images import ImageOptions
from engines.text.tools import TOOL_PARSERS
from engines.triton.profiles import PROFILES
from engines.triton.profiles.api import TensorMap
from engines.triton.profiles.generic import MAPPED
from engines.units import Size


def _address(url: str) -> str:
    """`host:port`, `grpc://host:port` or, for TLS, `grpcs://host:port`; nothing of it is dropped in silence."""
    if not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError("must be host:port, grpc://host:port or grpcs://host:port, in printable ASCII characters")
    parts = urlsplit(url if "://" in url else f"grpc://{url}")
    if parts.scheme not in ("grpc", "grpcs") or not parts.hostname or not parts.port:
        raise ValueError("must be host:port, grpc://host:port or grpcs://host:port")
    if "@" in parts.netloc or parts.path or parts.query or parts.fragment:
        raise ValueError("must end with the port, and hold no credentials")
    return f"{parts.scheme}://{parts.netloc}"


def _page(url: str) -> str:
    """The address of a page of metrics."""
    parts = urlsplit(url)
    if not url.isascii() or not url.isprintable() or parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be an http:// or https:// URL")
    if "@" in parts.netloc or parts.query or parts.fragment or not parts.path.strip("/"):
        raise ValueError("must end with a path, and hold no credentials")
    if parts.port == 0:  # reading it raises ValueError for what is no port at all
        raise ValueError("must have a port from 1 up, or none")
    return url


class _Options(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TlsOptions(_Options):
    """Files in PEM. Without `ca` the usual authorities are trusted; `certificate` and `key` go together."""

    ca: Path | None = Field(None, description="The authorities to trust, in place of the usual ones.")
    certificate: Path | None = Field(None, description="The gateway's own certificate, for mTLS.")
    key: Path | None = Field(None, description="The key of that certificate.")
    server_name: str | None = Field(None, description="What the certificate is for, where that is not the host.")

    @model_validator(mode="after")
    def _pair(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("give both certificate and key, or neither")
        return self

    def read(self) -> Tls:
        """Raises ValueError, naming the files, if one can't be read or is not what it should be."""
        tls = Tls(_read(self.ca), _read(self.certificate), _read(self.key), self.server_name)
        try:
            context(tls)
        except (OSError, ValueError) as error:
            files = ", ".join(str(path) for path in (self.ca, self.certificate, self.key) if path is not None)
            raise ValueError(f"there is no usable certificate or key in {files}: {error}") from None
        return tls


class CancelOptions(_Options):
    """How generations that nobody waits for are ended."""

    policy: CancelPolicy = Field("cancel", description="Whether they are cancelled, or left to end by themselves.")
    rate: float | None = Field(None, gt=0, description="Most cancellations in a second.")
    stop_model: str = Field("", description="The model inside an ensemble that is told to stop, if not found.")


class LimitOptions(_Options):
    """In tokens, where the model's config does not tell them or not rightly."""

    sequence: int | None = Field(None, ge=2, description="Longest prompt and answer together.")
    prompt: int | None = Field(None, ge=1, description="Longest prompt.")
    policy: Policy = Field("clamp", description="Whether an answer that may become too long is cut or refused.")

    def made(self) -> Limits:
        return Limits(self.sequence, self.prompt, self.policy)


class TritonOptions(_Options):
    """One replica: where it is, the model there and how to talk to it."""

    url: Annotated[str, AfterValidator(_address)] = Field(
        description="host:port of its gRPC, or grpcs://host:port for TLS.", examples=["127.0.0.1:8001"]
    )
    model: str = Field("", description="Triton's name of the model, where it is not the configuration's `upstream`.")
    version: str = Field("", pattern="^[0-9]*$", description="Its version; none leaves the choice to Triton.")
    tls: TlsOptions | None = Field(None, description="For grpcs:// where more than the usual authorities is needed.")
    transport: Literal["http2", "grpc"] = Field("http2", description="Our own client, or grpc.aio to fall back to.")
    connections: int = Field(1, ge=1, le=64, description="Kept open.")
    max_message: Size = Field(16 << 20, ge=1 << 16, le=1 << 30, description="Longest single answer of the server.")
    metrics: Annotated[str, AfterValidator(_page)] | None = Field(
        None, description="Where the server tells its load, as http://host:8002/metrics; none leaves it unknown."
    )
    profile: Annotated[str, OneOf(["auto"], PROFILES)] = Field(
        "auto", description="What kind of model it is; auto finds out from the model's config."
    )
    tensors: TensorMap = Field(TensorMap(), description="Inputs and outputs of a model of no known kind.")
    adapters: tuple[AdapterOptions, ...] = Field((), description="LoRA adapters, each a model of its own to clients.")
    tokenizer: Path | None = Field(None, description="A folder with tokenizer.json, that file, or a GGUF file.")
    chat_template: Path | None = Field(None, description="Where the tokenizer's own is not the one to use.")
    tools: Annotated[str, OneOf(TOOL_PARSERS)] | None = Field(None, description="How the model writes its tool calls.")
    reasoning: bool = Field(default=False, description="Whether it thinks in <think>…</think> before it answers.")
    images: ImageOptions | None = Field(None, description="Where images may come from, besides data URLs.")
    limits: LimitOptions = Field(LimitOptions(), description="Where the model's config does not tell them rightly.")
    cancel: CancelOptions = Field(CancelOptions(), description="How generations that nobody waits for are ended.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.tls is not None and not self.url.startswith("grpcs://"):
            raise ValueError("tls needs a grpcs:// url")
        if self.tokenizer is None and (self.limits.sequence or self.limits.prompt):
            raise ValueError("limits need a tokenizer")
        if self.cancel.rate is not None and self.cancel.policy != "cancel":
            raise ValueError("cancel.rate is of no use where nothing is cancelled")
        if self.tensors != TensorMap() and self.profile not in ("auto", "generic"):
            raise ValueError(f"tensors are for the profile generic, not for {self.profile}")
        if strange := self.tensors.parameters.keys() - MAPPED:
            raise ValueError(f"tensors.parameters can't have {', '.join(sorted(strange))}")
        if len({it.name for it in self.adapters} | {it.id for it in self.adapters}) < 2 * len(self.adapters):
            raise ValueError("each of the adapters needs a name and an id of its own")
        return self

    @property
    def adapter_names(self) -> tuple[str, ...]:
        """See `engines.api.Adapting`."""
        return tuple(adapter.name for adapter in self.adapters)

    @property
    def target(self) -> str:
        """host:port."""
        return self.url.partition("://")[2]

    def security(self) -> Tls | None:
        """What the connections need to know; None if they are plain. Raises ValueError if a file can't be read."""
        if not self.url.startswith("grpcs://"):
            return None
        return Tls() if self.tls is None else self.tls.read()


def _read(path: Path | None) -> bytes | None:
    try:
        return None if path is None else path.read_bytes()
    except OSError as error:
        raise ValueError(f"file {path} can't be read: {error.strerror}") from None
