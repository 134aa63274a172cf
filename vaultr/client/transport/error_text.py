"""What a server says when it refuses, as far as a terminal may show it, and for how long."""

from typing import Final

from vaultr.client.errors import RateLimited, Refused

_SHOWN_CHARACTERS: Final = 500
_SHOWN_FAULTS: Final = 3


def shown(value: object) -> object:
    """Take from a text what a terminal would obey, and all that is too long; leave the rest."""
    if not isinstance(value, str):
        return value
    return "".join(letter if letter.isprintable() else " " for letter in value[:_SHOWN_CHARACTERS])


def say(refused: Refused) -> None:
    """Let a refusal say what the server says, of which field, and how long it asks to wait.

    Its words are not this client's: they must not be taken for advice that can be trusted.
    """
    said = f"The server refuses: {refused}"
    if faults := _faults(refused):
        said += f" ({'; '.join(faults)})"
    refused.args = (said,)
    seconds = refused.members.get("retry_after")
    if isinstance(refused, RateLimited) and seconds:
        refused.add_note(f"Try again in {_time(seconds)}.")


def _faults(refused: Refused) -> list[str]:
    """List what is wrong and where, as a problem document does: ``{pointer, message}``."""
    errors = refused.members.get("errors")
    if not isinstance(errors, list):
        return []
    told = []
    for one in errors[:_SHOWN_FAULTS]:
        if isinstance(one, dict) and isinstance(message := shown(one.get("message")), str):
            pointer = shown(one.get("pointer"))
            told.append(f"{pointer}: {message}" if pointer else message)
    return [one for one in told if one not in refused.detail]


def _time(seconds: int) -> str:
    return f"{seconds} s" if seconds < 120 else f"{-(-seconds // 60)} min"
