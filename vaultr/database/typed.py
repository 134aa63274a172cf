"""Plain SQL whose ids and times both databases take: SQLite knows neither."""

import re
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

_PARAMETER = re.compile(r"(?<![:\w]):(\w+)")


def typed(text: str, kinds: Mapping[str, sa.types.TypeEngine[Any]]) -> sa.TextClause:
    """Make a statement whose parameters have the types that ``kinds`` gives to their names."""
    names = {*_PARAMETER.findall(text)} & kinds.keys()
    return sa.text(text).bindparams(*(sa.bindparam(name, type_=kinds[name]) for name in names))
