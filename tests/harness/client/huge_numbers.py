"""Find and replace the numbers of a response."""

HUGE = 2**53 - 1
MEMORY_BYTES = 48 * 1024 * 1024


def numbers_in(body, path=()):
    """Yield the path of each number in a response; items of a list count as one."""
    if isinstance(body, dict):
        for name, value in body.items():
            yield from numbers_in(value, (*path, name))
    elif isinstance(body, list):
        for value in body:
            yield from numbers_in(value, (*path, "*"))
    elif isinstance(body, int) and not isinstance(body, bool):
        yield path


def replaced(body, path, value):
    """Replace every number at ``path`` by ``value``."""
    if not path:
        return value
    name, *rest = path
    if name == "*":
        return [replaced(each, rest, value) if isinstance(body, list) else each for each in body]
    if not isinstance(body, dict) or name not in body:
        return body
    return body | {name: replaced(body[name], rest, value)}
