"""`flask check` and `flask settings`: check and list settings without starting the server."""

import os
from typing import Any

import click
from pydantic_core import PydanticUndefined

from vaultr.operator_cli import json_option, show
from vaultr.settings.environment import InvalidSettings
from vaultr.settings.model import Settings
from vaultr.settings.types import Keys
from vaultr.settings.warnings import warnings


@click.command("check")
@json_option
def check(*, as_json: bool) -> None:
    """Check whether the server could start with these settings; exits with 1 if not.

    Warnings name settings that are probably a mistake, such as misspelled ones.

    Example: VAULTR_ENV=production flask check
    """
    try:
        settings = Settings.from_environ(os.environ)
    except InvalidSettings as invalid:
        problems = invalid.problems
        show(
            {"ok": False, "problems": problems},
            as_json=as_json,
            lines=lambda: ["Fix these settings:", *(f"  - {problem}" for problem in problems)],
        )
        raise SystemExit(1) from None
    found = warnings(settings, os.environ)
    lines = [f"The settings are valid for {settings.vaultr_env}."]
    if found:
        lines += ["Warnings:", *(f"  - {warning}" for warning in found)]
    show({"ok": True, "problems": [], "warnings": found}, as_json=as_json, lines=lambda: lines)


@click.command("settings")
@json_option
def settings(*, as_json: bool) -> None:
    """List all settings. Each can also be read from a file named by <NAME>_FILE.

    Example: flask settings --json
    """
    rows = described()
    lines = [f"{row['name']:24} {_default(row):24} {row['description']}" for row in rows]
    show(rows, as_json=as_json, lines=lambda: lines)


def described() -> list[dict[str, Any]]:
    """Return all settings: name, default, whether it is secret, whether production requires it."""
    rows = []
    for name, field in Settings.model_fields.items():
        extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
        default = None if field.default is PydanticUndefined else field.default
        rows.append(
            {
                "name": name.upper(),
                "secret": _is_secret(field.annotation),
                "default": _plain(default),
                "required_in_production": bool(extra.get("required_in_production")),
                "description": field.description,
            }
        )
    return rows


def _is_secret(annotation: Any) -> bool:
    return annotation is Keys or "Keys" in str(annotation) or "SecretStr" in str(annotation)


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return ",".join(str(part) for part in value)
    return value if value is None or isinstance(value, int | str) else str(value)


def _default(row: dict[str, Any]) -> str:
    if row["required_in_production"]:
        return "required in production"
    return "" if row["default"] is None else str(row["default"])
