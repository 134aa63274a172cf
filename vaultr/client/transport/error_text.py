"""Text that the server sends with an error, made safe to print in a terminal."""

from typing import Final

from vaultr.client.errors import RateLimited, Refused

_SHOWN_CHARACTERS: Final = 500
_SHOWN_ERRORS: Final = 3


def printable(value: object) -> object:
    """Return a text without control characters, truncated to 500; other values unchanged.

    A terminal would obey control characters.
    """
    if not isinstance(value, str):
        return value
    return "".join(letter if letter.isprintable() else " " for letter in value[:_SHOWN_CHARACTERS])


def add_server_text(error: Refused) -> None:
    """Add the server's text to the message, with the invalid fields and the time to wait.

    The message names the server, so that its text is not mistaken for this client's advice.
    """
    message = f"The server rejected the request: {error}"
    if invalid := _invalid_fields(error):
        message += f" ({'; '.join(invalid)})"
    error.args = (message,)
    seconds = error.members.get("retry_after")
    if isinstance(error, RateLimited) and seconds:
        error.add_note(f"Try again in {_duration(seconds)}.")


def _invalid_fields(error: Refused) -> list[str]:
    """List the invalid fields in the problem document, as ``{pointer, message}``."""
    errors = error.members.get("errors")
    if not isinstance(errors, list):
        return []
    found = []
    for one in errors[:_SHOWN_ERRORS]:
        if isinstance(one, dict) and isinstance(message := printable(one.get("message")), str):
            pointer = printable(one.get("pointer"))
            found.append(f"{pointer}: {message}" if pointer else message)
    return [one for one in found if one not in error.detail]


def _duration(seconds: int) -> str:
    return f"{seconds} s" if seconds < 120 else f"{-(-seconds // 60)} min"
