"""The certificate of the gateway, which is read again when its files change."""

import ssl
from collections.abc import Callable
from pathlib import Path

from vaultr.client.errors import VaultrError


class Certificate:
    """A certificate and its private key in two PEM files.

    :raises VaultrError: the files cannot be read, or the key does not match the certificate.
    """

    def __init__(self, certificate: Path, key: Path) -> None:
        self._files = (certificate, key)
        self._stamps = self._read_stamps()
        self.context = self._load()

    def renew(self, use: Callable[[ssl.SSLContext], None]) -> bool:
        """Call ``use`` with a new context if the files have changed; return whether they have.

        Open connections keep the previous certificate.

        :raises VaultrError: the new files cannot be used. The next call reads them again.
        """
        stamps = self._read_stamps()
        if stamps == self._stamps:
            return False
        self.context = self._load()
        use(self.context)
        self._stamps = stamps
        return True

    def _read_stamps(self) -> tuple[tuple[int, int, int], ...]:
        try:
            found = [each.stat() for each in self._files]
        except OSError as error:
            raise VaultrError(f"{error.filename}: {error.strerror}") from None
        return tuple((each.st_ino, each.st_mtime_ns, each.st_size) for each in found)

    def _load(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(*self._files)
        except (OSError, ssl.SSLError) as error:
            raise VaultrError(f"The certificate or its key cannot be read: {error}") from None
        return context
