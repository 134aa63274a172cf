"""Durations on the command line."""

from datetime import timedelta

import click
import pytest

from vaultr.client.cli.offline_options import Duration


def test_duration_is_parsed_from_number_and_unit():
    assert Duration().convert("12h", None, None) == timedelta(hours=12)


@pytest.mark.parametrize("text", ["999999w", "36526d", "12", "h", "-1d", "1.5h"])
def test_malformed_or_too_long_duration_is_rejected(text):
    with pytest.raises(click.BadParameter):
        Duration().convert(text, None, None)
