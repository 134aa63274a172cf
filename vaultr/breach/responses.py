"""The response with a range."""

from pydantic import RootModel


class RangeText(RootModel[str]):
    """Lines `SUFFIX:COUNT`: the other 35 digits of a hash, and how often it was seen."""
