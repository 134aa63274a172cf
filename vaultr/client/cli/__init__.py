"""The ``vaultr`` command."""

from vaultr.client.cli.entry import main

__all__ = ["main"]
