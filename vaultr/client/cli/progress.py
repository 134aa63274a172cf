"""Shows how far a long command is: on stderr, written over on a terminal."""

import sys
from collections.abc import Callable

import click

from vaultr.client.cli.output import items


def items_moved(done: str) -> Callable[[int, int], None]:
    """Give what shows progress, as ``Moved 300 of 1200 items``."""
    rewrites = sys.stderr.isatty()

    def show(count: int, total: int) -> None:
        text = f"{done} {count} of {items(total)}"
        if rewrites:
            click.echo(f"\r{text}", err=True, nl=count == total)
        else:
            click.echo(text, err=True)

    return show
