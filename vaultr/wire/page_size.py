"""The size of a page: a list's page has a maximum of bytes, besides its maximum of rows."""

from collections.abc import Iterable


def rows_that_fit(sizes: Iterable[int], most: int) -> int:
    """Return how many of the first rows fit in a page, at least one.

    :param sizes: the bytes of each row, in the order of the page.
    :param most: the bytes of a page.
    """
    total, count = 0, 0
    for size in sizes:
        total += size
        if count and total > most:
            break
        count += 1
    return count
