"""The server's clock, as its responses show it."""

from datetime import UTC, datetime

import pytest

from vaultr.client.doctor.reachability import _clock
from vaultr.client.transport.http_transport import Probe
from vaultr.client.transport.responses import time_of


@pytest.mark.parametrize("date", [
    "Mon, 01 Jan 2024 12:00:00 GMT", "Mon, 01 Jan 2024 12:00:00", "Mon, 01 Jan 2024 13:00:00 +0100",
])  # fmt: skip
def test_date_header_is_parsed_as_utc(date):
    assert time_of(date) == datetime(2024, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize("date", [
    None, "", "x", "Mon, 01 Jan 2024 00:00:00 +99999999999999",
    "Fri, 31 Dec 9999 23:00:00 -2300", pytest.param("9" * 4000 + " Jan 2024 00:00:00 GMT", id="9"),
    "Mon, 32 Jan 2024 00:00:00 GMT", "Mon, 01 Jan 2024 00:00:00 -9999999999", "Mon, 1 2 3 4 5 6",
])  # fmt: skip
def test_invalid_date_header_is_none(date):
    assert time_of(date) is None
    (found,) = _clock(Probe(200, date, None))
    assert found.said == "The server does not send its time."
