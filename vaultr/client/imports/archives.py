"""Read zip archives that may be hostile: limits for size, ratio and number of members."""

import io
import zlib
from typing import Final

from vaultr.client.imports.problems import reject

UNPACKED_BYTES: Final = 256 * 1024 * 1024
_RATIO_MOST: Final = 100
# Below this size any ratio is harmless: repetitive text can be compressed a thousandfold.
_SMALL_BYTES: Final = 1024 * 1024
_MEMBERS_MOST: Final = 100_000
_ENCRYPTED: Final = 1
_BOMB: Final = (
    "unpacks to more data than Vaultr accepts: it may be a zip bomb. Nothing was unpacked."
)


class Archive:
    """An open zip archive whose names have been checked.

    :raises ImportProblems: it is truncated, or has a duplicate name, or a name that leads out of
        its folder.
    """

    def __init__(self, data: bytes) -> None:
        # zipfile imports the compressors, which most formats do not need.
        import zipfile  # noqa: PLC0415 - heavy, see above

        self._size = len(data)
        self._failures = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, OSError)
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(data))
            infos = self._zip.infolist()
        except (*self._failures, ValueError, UnicodeDecodeError):
            reject("This zip archive is damaged or was cut off. Export or copy it again.")
        if len(infos) > _MEMBERS_MOST:
            reject(f"This zip archive has more than {_MEMBERS_MOST} files.")
        self.names = [info.filename for info in infos]
        if len(set(self.names)) < len(self.names):
            reject(
                "This zip archive has two files with the same name, so its content is ambiguous."
            )
        if any(_leaves_its_folder(name) for name in self.names):
            reject("This zip archive has a file with an absolute path or with '..' in it.")

    def read(self, name: str) -> bytes:
        """Unpack one member, within the limits.

        :raises ImportProblems: it is damaged, encrypted, or too large when unpacked.
        """
        info = self._zip.getinfo(name)
        if info.flag_bits & _ENCRYPTED:
            reject("This zip archive is encrypted. Unpack it, then import the file inside.")
        most = min(UNPACKED_BYTES, max(_SMALL_BYTES, _RATIO_MOST * self._size))
        if info.file_size > most:
            reject(f"This zip archive {_BOMB}")
        try:
            with self._zip.open(info) as member:
                data = member.read(most + 1)
        except (*self._failures, ValueError):
            reject("This zip archive is damaged. Export or copy it again.")
        if len(data) > most:
            reject(f"This zip archive {_BOMB}")
        return data


def gunzip(data: bytes) -> bytes:
    """Unpack gzip data, within the same limits.

    :raises ValueError: it is damaged.
    :raises ImportProblems: it is too large when unpacked.
    """
    most = min(UNPACKED_BYTES, max(_SMALL_BYTES, _RATIO_MOST * len(data)))
    unpacker = zlib.decompressobj(wbits=31)
    try:
        plain = unpacker.decompress(data, most + 1)
    except zlib.error:
        raise ValueError("not gzip") from None
    if len(plain) > most:
        reject(f"The compressed part of this file {_BOMB}")
    if not unpacker.eof:
        raise ValueError("gzip data was cut off")
    return plain


def _leaves_its_folder(name: str) -> bool:
    parts = name.replace("\\", "/").split("/")
    return parts[0] == "" or ".." in parts or (len(parts[0]) > 1 and parts[0][1] == ":")
