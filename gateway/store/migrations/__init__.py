"""Every change of the tables, as Alembic applies them: one file each in `versions`."""
