"""Errors of exports. Each docstring is the detail that a client receives."""

from vaultr import errors


class ExportRunning(errors.Conflict):
    """An export of your account is already running. Wait until it has ended, then try again."""

    slug = "conflict"
