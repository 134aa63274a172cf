"""Read all texts of a JSON value."""

from collections.abc import Iterator


def strings(value: object) -> Iterator[str]:
    """Yield every string in a JSON value, except keys."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from strings(part)
    elif isinstance(value, list):
        for part in value:
            yield from strings(part)
