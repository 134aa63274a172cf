"""The ``vaultr`` command."""

from vaultr.client.cli.main import main

__all__ = ["main"]
