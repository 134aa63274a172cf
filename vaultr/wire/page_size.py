"""The size of a page: every list ends at a number of bytes, whatever its limit of rows is."""

from collections.abc import Iterable


def rows_that_fit(sizes: Iterable[int], most: int) -> int:
    """Return how many of the first rows fit in a page; one always does.

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
