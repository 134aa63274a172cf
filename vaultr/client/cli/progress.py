"""Progress of long commands on stderr, as one line that is overwritten on a terminal."""

import sys
from collections.abc import Callable

import click

from vaultr.client.cli.output import items


def item_progress(verb: str) -> Callable[[int, int], None]:
    """Return a function that prints progress, such as ``Moved 300 of 1200 items``."""
    overwrites = sys.stderr.isatty()

    def show(count: int, total: int) -> None:
        text = f"{verb} {count} of {items(total)}"
        if overwrites:
            click.echo(f"\r{text}", err=True, nl=count == total)
        else:
            click.echo(text, err=True)

    return show
