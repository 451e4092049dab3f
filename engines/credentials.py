"""A secret by reference: where it lies, never what it is, so that configuration can be printed and stored."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class FromVariable(str):
    """The text of an environment variable that knows the variable's name."""

    __slots__ = ("variable",)
    variable: str

    def __new__(cls, text: str, variable: str) -> Self:
        made = super().__new__(cls, text)
        made.variable = variable
        return made


class SecretReference(BaseModel):
    """`{env: NAME}` or `{file: PATH}`; exactly one of them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    env: str | None = Field(None, description="Name of the environment variable that holds it.")
    file: Path | None = Field(None, description="File that holds it, and nothing else.")

    @model_validator(mode="before")
    @classmethod
    def _where_it_came_from(cls, given: Any) -> Any:
        """A secret in the variable of its own setting stays there; in the file itself there is no place for one."""
        if isinstance(given, str) and not isinstance(given, FromVariable):
            msg = "takes {env: NAME} or {file: PATH}, where it is; never the secret itself"
            raise ValueError(msg)  # noqa: TRY004  # pydantic tells no TypeError
        return {"env": given.variable} if isinstance(given, FromVariable) else given

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.env is None) == (self.file is None):
            msg = "give exactly one of env and file"
            raise ValueError(msg)
        return self

    def read(self) -> str:
        """The secret. Raises ValueError, without the secret, if it is missing or can't stand in a header."""
        if self.env is not None:
            where = f"environment variable {self.env}"
            if self.env not in os.environ:
                msg = f"{where} is not set"
                raise ValueError(msg)
            found = os.environ[self.env]
        else:
            assert self.file is not None  # _exactly_one
            where = f"file {self.file}"
            try:
                found = self.file.read_text()
            except OSError as error:
                msg = f"{where} can't be read: {error.strerror}"
                raise ValueError(msg) from None
        secret = found.strip()
        if not secret or not secret.isascii() or not secret.isprintable():
            msg = f"{where} holds no usable secret"
            raise ValueError(msg)
        return secret
