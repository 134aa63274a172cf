"""A file of trusted certificate authorities, for a library that takes no SSL context."""

import importlib
import os
from pathlib import Path
from typing import Any

from vaultr.settings import private_files
from vaultr.settings.model import Settings


def file_for_boto3(settings: Settings) -> str | None:
    """Return boto3's ``verify``: a file with PRIVATE_CA and the public authorities.

    Return None, which lets boto3 decide, without PRIVATE_CA or if AWS_CA_BUNDLE names a file.

    :raises ImportError: boto3 is not installed.
    :raises OSError: VAULTR_HOME cannot be written.
    """
    if settings.private_ca is None or os.environ.get("AWS_CA_BUNDLE"):
        return None
    session: Any = importlib.import_module("botocore.httpsession")
    public = Path(session.get_cert_path(verify=True)).read_text("utf-8")
    text = f"{public.rstrip()}\n{settings.private_ca}"
    return str(private_files.stored(settings.vaultr_home, "authorities", text).absolute())
