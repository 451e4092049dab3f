"""What must outlive the process, in SQL: SQLite by default, PostgreSQL where several gateways share it."""
