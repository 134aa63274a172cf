"""The one blueprint that all routes of accounts are on, so that they are named alike."""

from typing import Final

from flask import Blueprint

blueprint: Final = Blueprint("auth", __name__, url_prefix="/api/v1/auth")
