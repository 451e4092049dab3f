"""The tables. Times are Unix seconds; `revision` is the number of the change that wrote a row last."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    and_,
    or_,
)  # fmt: skip
from sqlalchemy.sql.elements import ColumnElement

METADATA = MetaData()

CHANGES = Table(
    "changes",
    METADATA,
    Column("id", Integer, CheckConstraint("id = 1", name="one_row"), primary_key=True),
    Column("revision", BigInteger, nullable=False),
)
"""One row with the number of the last change. Every change begins by raising it, and thereby locks it until its end:
so numbers become visible in their order, and who has seen one has seen all before."""

TENANTS = Table(
    "tenants",
    METADATA,
    Column("name", String(64), primary_key=True),
    Column("plan", String(64), nullable=False),
    Column("weight", Integer, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("models", JSON(none_as_null=True)),
    Column("created", BigInteger, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Index("tenants_revision", "revision"),
)

KEYS = Table(
    "keys",
    METADATA,
    Column("id", String(12), primary_key=True),
    Column("tenant", ForeignKey("tenants.name"), nullable=False),
    Column("label", String(128), nullable=False),
    Column("digest", LargeBinary(32), nullable=False),
    Column("scopes", JSON, nullable=False),
    Column("models", JSON(none_as_null=True)),
    Column("created", BigInteger, nullable=False),
    Column("expires", BigInteger),
    Column("revoked", BigInteger),
    Column("used", BigInteger),
    Column("revision", BigInteger, nullable=False),
    Index("keys_tenant", "tenant"),
    Index("keys_revision", "revision"),
)

AUDIT = Table(
    "audit",
    METADATA,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("actor", String(255), nullable=False),
    Column("address", String(255), nullable=False),
    Column("action", String(16), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("object", String(300).with_variant(String(64), "sqlite"), nullable=False),  # where no length is heeded
    Column("before", JSON(none_as_null=True)),
    Column("after", JSON, nullable=False),
    Index("audit_object", "object", "id"),
)
"""Every change, written with it; triggers let the table only grow. As changes wait for each other (see CHANGES), its
numbers become visible in their order."""

OVERRIDES = Table(
    "overrides",
    METADATA,
    Column("model", String(128), primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("value", JSON, nullable=False),
    Column("changed_by", String(255), nullable=False),
    Column("changed_at", BigInteger, nullable=False),
)
"""What was set about a model's versions: of the kind `weights` a number for each, of the kind `drained` a list of them,
of the kind `versions` the entry of each that was set whole. There are few rows, and no other process asks for less
than all."""

PLANS = Table(
    "plans",
    METADATA,
    Column("name", String(64), primary_key=True),
    Column("value", JSON, nullable=False),
    Column("changed_by", String(255), nullable=False),
    Column("changed_at", BigInteger, nullable=False),
)
"""The entry of each plan of limits that was set over the file's; few rows, as OVERRIDES."""

LIMIT_OVERRIDES = Table(
    "limit_overrides",
    METADATA,
    Column("holder", String(16), primary_key=True),
    Column("name", String(128), primary_key=True),
    Column("value", JSON, nullable=False),
    Column("changed_by", String(255), nullable=False),
    Column("changed_at", BigInteger, nullable=False),
)
"""What was set that single tenants and keys may ask for in the place of what their plan says. `holder`: `tenant`, or
`key`, which may be nobody's but an issuer's."""

USAGE = Table(
    "usage",
    METADATA,
    Column("id", String(64), nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("tenant", String(64), nullable=False),
    Column("key", String(128), nullable=False),
    Column("model", String(128), nullable=False),
    Column("version", String(257), nullable=False),
    Column("prompt_tokens", BigInteger, nullable=False),
    Column("completion_tokens", BigInteger, nullable=False),
    Column("exact", Boolean, nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("code", String(64), nullable=False),
    Column("duration_ms", BigInteger, nullable=False),
    Column("cost", BigInteger, nullable=False),
    PrimaryKeyConstraint("at", "id"),  # one index for all: what is new, what is old, and what comes next
    sqlite_with_rowid=False,  # nor anything beside it
)
"""A row per finished request of who has a key or a token, for some days. Names are those of their time: what they are
of may be gone, and of tokens the key is nobody's but the issuer's."""

USAGE_DAYS = Table(
    "usage_days",
    METADATA,
    Column("day", Date, primary_key=True),
    Column("tenant", String(64), primary_key=True),
    Column("key", String(128), primary_key=True),
    Column("model", String(128), primary_key=True),
    Column("version", String(257), primary_key=True),
    Column("requests", BigInteger, nullable=False),
    Column("failed", BigInteger, nullable=False),
    Column("prompt_tokens", BigInteger, nullable=False),
    Column("completion_tokens", BigInteger, nullable=False),
    Column("cost", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""What the rows of a day add up to, kept when they are gone. A row and its share of the sum are written together."""


def good_key(now: int) -> ColumnElement[bool]:
    """Of a row of `KEYS`: it is neither revoked nor over."""
    return and_(KEYS.c.revoked.is_(None), or_(KEYS.c.expires.is_(None), KEYS.c.expires > now))
