"""Search everything that the server stores for the markers of a canary."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vaultr.backup.errors import BackupError
from vaultr.backup.marker_search import Search
from vaultr.backup.sinks import SINKS, NotSearched, Places
from vaultr.protocol.canary import Marker, read_markers
from vaultr.settings.model import Settings

_MOST_BYTES: Final = 1024 * 1024


class NoCanaryFile(BackupError):
    """The file contains no markers."""


@dataclass(frozen=True, slots=True)
class Searched:
    """The result for one sink.

    :ivar size: number of bytes searched; None if the sink was not searched.
    :ivar found: names of the markers found.
    :ivar note: what was searched, or why it was not.
    """

    sink: str
    size: int | None
    found: tuple[str, ...]
    note: str


def markers_of(path: Path) -> list[Marker]:
    """Return the markers in a file of `vaultr canary plant`.

    :raises NoCanaryFile: it cannot be read, or is not a canary file.
    """
    try:
        with path.open("rb") as file:
            return read_markers(file.read(_MOST_BYTES).decode())
    except OSError as error:
        raise NoCanaryFile(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise NoCanaryFile(f"{path} cannot be used: it is not a text file.") from None
    except ValueError as error:
        raise NoCanaryFile(f"{path} cannot be used: {error}.") from None


def search(settings: Settings, markers: Sequence[Marker], places: Places) -> list[Searched]:
    """Search all sinks, and return the result for each.

    :raises BackupError: a sink cannot be read.
    """
    values = {marker.name: marker.value for marker in markers}
    results = []
    for sink, read in SINKS.items():
        searching = Search(values)
        try:
            note = read(settings, places, searching.feed)
        except NotSearched as reason:
            results.append(Searched(sink, None, (), str(reason)))
            continue
        searching.end()
        found = tuple(name for name in values if name in searching.found)
        results.append(Searched(sink, searching.size, found, note))
    return results
