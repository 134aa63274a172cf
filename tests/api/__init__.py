"""HTTP through the whole app, on PostgreSQL and on SQLite."""
