"""How many rows fit in a page."""

import pytest

from vaultr.wire.page_size import rows_that_fit


@pytest.mark.parametrize(
    ("sizes", "count"),
    [([], 0), ([11], 1), ([5, 5], 2), ([5, 6], 1), ([11, 1], 1), ([1, 1, 9, 1], 2), ([0] * 50, 50)],
)
def test_page_contains_rows_up_to_byte_limit(sizes, count):
    assert rows_that_fit(sizes, most=10) == count
