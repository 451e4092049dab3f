"""What was set about versions while the gateway ran; and room in the audit trail for their names."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "overrides",
        sa.Column("model", sa.String(128), primary_key=True),
        sa.Column("kind", sa.String(16), primary_key=True),
        sa.Column("value", sa.JSON, nullable=False),
        sa.Column("changed_by", sa.String(255), nullable=False),
        sa.Column("changed_at", sa.BigInteger, nullable=False),
    )
    _audit_object(sa.String(300))


def downgrade() -> None:
    op.drop_table("overrides")
    _audit_object(sa.String(64), "substr(object, 1, 64)")


def _audit_object(kind: sa.String, using: str | None = None) -> None:
    if op.get_bind().dialect.name != "sqlite":  # which heeds no lengths, and could not change one
        op.alter_column("audit", "object", type_=kind, postgresql_using=using)
