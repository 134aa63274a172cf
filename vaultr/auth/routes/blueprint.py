"""The blueprint of all account routes."""

from typing import Final

from flask import Blueprint

blueprint: Final = Blueprint("auth", __name__, url_prefix="/api/v1/auth")
