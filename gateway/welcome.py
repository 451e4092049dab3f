"""What the process says once it serves: where, to whom, and how to try it."""

from __future__ import annotations

from gateway.config import Config
from gateway.version import VERSION

_ANYWHERE = ("0.0.0.0", "::")  # noqa: S104  # compared, not bound


def welcome(config: Config, port: int, ops_port: int) -> str:
    """Lines for a terminal; the ports are those that were bound."""
    server, ops = config.server, config.ops
    shown = "127.0.0.1" if server.host in _ANYWHERE else server.host
    header = ' -H "authorization: Bearer $SNOWSHED_API_KEY"' if config.auth.kind in ("keys", "jwt") else ""
    question = '"messages": [{"role": "user", "content": "What is the capital of France?"}]'
    return "\n".join(
        (
            f"Snowshed {VERSION} serves http://{server.host}:{port}; probes and metrics: http://{ops.host}:{ops_port}.",
            _asked(config),
            "Try it in another terminal:",
            f"  curl http://{shown}:{port}/v1/chat/completions -H 'content-type: application/json'{header} \\",
            f"""    -d '{{"model": "{config.models[0].name}", {question}}}'""",
        )
    )


def _asked(config: Config) -> str:
    """Who may ask."""
    auth = config.auth
    if auth.kind == "none":
        everybody = "anybody who can reach it may use it"
        who = everybody if config.server.open else "this machine only, under loopback names"
        return f"Requests are not authenticated: {who}."
    a_token = f"a token of {auth.jwt.issuer}" if auth.jwt else ""
    if auth.kind == "mesh":
        return "Requests need an identity that the service mesh vouches for."
    if auth.kind == "jwt":
        return f"Requests need {a_token}."
    a_key = "a key: snowshed tenants create TENANT, then snowshed keys create TENANT, with this configuration"
    return f"Requests need {a_key}{a_token and f'; or {a_token}'}."
