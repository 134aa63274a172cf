"""The routes of the app, with sample values in their paths."""

import re
from uuid import UUID

SOME_ID = str(UUID(int=1))
VALUES = {"<revision:revision>": "1", "<prefix:prefix>": "00000"}


def routes(app):
    """Yield endpoint, method, path and view of each route."""
    for rule in app.url_map.iter_rules():
        path = re.sub(r"<[^<>]+>", lambda part: VALUES.get(part[0], SOME_ID), rule.rule)
        for method in sorted(rule.methods - {"HEAD", "OPTIONS"}):
            yield rule.endpoint, method, path, app.view_functions[rule.endpoint]
