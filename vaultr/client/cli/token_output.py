"""Show a new token once: on a terminal, or in a new file of mode 0600."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from vaultr.client.cli import output
from vaultr.client.errors import UsageError, VaultrError

out_option = click.option(
    "--out",
    "out_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write the token to a new file, readable only by you (0600)",
)


@dataclass(slots=True)
class TokenPlace:
    """Where to write a new token: a file, or the terminal."""

    file: Path | None
    token: str | None = None

    def to_json(self) -> dict[str, str | None]:
        """Return the token, or the name of its file."""
        return {"token": self.token} if self.file is None else {"token_file": str(self.file)}

    def show(self, name: str, advice: str) -> None:
        """Print the token with advice, or the name of its file."""
        if self.file is not None:
            output.print_note(f"The token is in {output.printable(str(self.file))}.")
            return
        output.print_line("")
        output.print_line(f"{name}{self.token}")
        output.print_line("")
        output.print_note(advice)


@contextlib.contextmanager
def token_place(file: Path | None) -> Iterator[TokenPlace]:
    """Check the place for a new token before creating it, and write the token at the end.

    :raises UsageError: there is neither a file nor a terminal for the token.
    :raises VaultrError: the file exists; it is never overwritten.
    """
    if file is None and not output.is_terminal():
        raise UsageError(
            "The token is shown only on a terminal. To write it to a new file, use --out FILE."
        )
    place = TokenPlace(file)
    if file is None:
        try:
            yield place
        except BaseException:
            if place.token is not None:  # the token already works, and nobody could show it again
                output.print_line(place.token)
            raise
        return
    # This import also loads the client's folder and the ciphers.
    from vaultr.client.storage.secret_files import FileExists, save  # noqa: PLC0415 - heavy, see above

    try:
        save(file, b"", force=False)
    except FileExists as error:
        raise VaultrError(f"{error} Name a new file: --out FILE") from None
    try:
        yield place
    finally:  # a created token already works, whatever failed after that
        try:
            if place.token is not None:
                save(file, f"{place.token}\n".encode(), force=True)
        finally:
            if file.stat().st_size == 0:
                file.unlink()
