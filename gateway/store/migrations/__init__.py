"""Every change of the tables, as Alembic applies them: one file each in `versions`."""

NEWEST = "0006"
"""The revision that this version of the gateway works with: the last of `versions`."""
