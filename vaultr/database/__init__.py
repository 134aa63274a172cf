"""The database: base classes of models, connections, transactions and SQL statements."""
