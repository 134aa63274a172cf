"""Find the location of backups: a folder or a bucket."""

from pathlib import Path
from urllib.parse import urlsplit

from vaultr.backup.bucket import Bucket
from vaultr.backup.errors import NotConfigured
from vaultr.backup.folder import Folder
from vaultr.backup.storage import Location
from vaultr.settings.model import current_settings


def location(folder: Path | None) -> Location:
    """Return the location of backups: ``folder``, or else BACKUP_LOCATION.

    :raises NotConfigured: neither is set.
    """
    if folder is not None:
        return Folder(folder)
    settings = current_settings()
    text = settings.backup_location
    if text is None:
        raise NotConfigured(
            "No location for backups: set BACKUP_LOCATION to a folder or s3://BUCKET/PREFIX, or"
            " use --dir."
        )
    if text.startswith("s3://"):
        parts = urlsplit(text)
        return Bucket(parts.netloc, parts.path.strip("/"), settings)
    return Folder(Path(text))
