"""The WSGI app for gunicorn and `flask`."""

import os

from vaultr.app import create_app
from vaultr.settings.model import Settings

app = create_app(Settings.from_environ(os.environ))
