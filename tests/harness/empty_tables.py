"""Empty the tables that a test filled."""

import sqlalchemy as sa

# TRUNCATE takes a millisecond for each table and index, even if they are empty: 30 ms for all
# tables. DELETE and VACUUM take a millisecond for each table with a few rows.
FEW_BYTES = 4 * 1024 * 1024


def empty(engine, tables):
    """Remove all rows of ``tables``, in an order in which no row refers to a removed one."""
    if engine.dialect.name != "postgresql":
        with engine.begin() as connection:
            for name in tables:
                connection.execute(sa.text(f"DELETE FROM {name}"))
        return
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        sizes = _sizes(connection, tables)
        filled = [name for name in tables if sizes[name]]
        if filled and sum(sizes.values()) <= FEW_BYTES:
            connection.exec_driver_sql("; ".join(f"DELETE FROM {name}" for name in filled))
            # This also returns the pages. Otherwise later rows would reuse their space, and would
            # not be read in the order of insertion.
            connection.exec_driver_sql(f"VACUUM {', '.join(filled)}")
            sizes = _sizes(connection, filled)
        if any(sizes.values()):  # many rows, or rows that another transaction may still see
            connection.exec_driver_sql(f"TRUNCATE {', '.join(tables)} CASCADE")


def _sizes(connection, tables):
    """Return the size of each table in bytes; none if nothing was written since it was emptied."""
    sizes = ", ".join(f"pg_relation_size('{name}')" for name in tables)
    (row,) = connection.exec_driver_sql(f"SELECT {sizes}")
    return dict(zip(tables, row, strict=True))
