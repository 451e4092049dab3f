"""The audit trail, which takes rows and gives none back: triggers refuse all else, whoever asks."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_REFUSE = "BEGIN SELECT RAISE(ABORT, 'the audit trail only grows'); END"
_SQLITE = (
    f"CREATE TRIGGER audit_keeps_rows BEFORE UPDATE ON audit {_REFUSE}",
    f"CREATE TRIGGER audit_loses_none BEFORE DELETE ON audit {_REFUSE}",
    # INSERT OR REPLACE deletes without asking the trigger above.
    f"""CREATE TRIGGER audit_replaces_none BEFORE INSERT ON audit
    WHEN NEW.id IN (SELECT id FROM audit) {_REFUSE}""",  # noqa: S608  # our own words, all of them
)
_POSTGRESQL = (
    """CREATE FUNCTION audit_only_grows() RETURNS trigger LANGUAGE plpgsql
    AS $$ BEGIN RAISE EXCEPTION 'the audit trail only grows'; END $$""",
    """CREATE TRIGGER audit_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION audit_only_grows()""",
)


def upgrade() -> None:
    op.create_table(
        "audit",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("actor", sa.String(255), nullable=False),
        sa.Column("address", sa.String(255), nullable=False),
        sa.Column("action", sa.String(16), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("object", sa.String(64), nullable=False),
        sa.Column("before", sa.JSON(none_as_null=True)),
        sa.Column("after", sa.JSON, nullable=False),
    )
    op.create_index("audit_object", "audit", ["object", "id"])
    for statement in _SQLITE if _is_sqlite() else _POSTGRESQL:
        op.execute(statement)


def downgrade() -> None:
    op.drop_table("audit")
    if not _is_sqlite():
        op.execute("DROP FUNCTION audit_only_grows()")


def _is_sqlite() -> bool:
    return op.get_bind().dialect.name == "sqlite"
