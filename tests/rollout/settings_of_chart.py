"""The settings that the chart accepts, derived from `Settings`, so that typos are rejected."""

import types
import typing
from pathlib import Path

from pydantic import SecretStr

from vaultr.settings.model import Settings
from vaultr.settings.types import Keys, Rate, TrustedProxies

# Settings that the chart sets itself, or that must never be in plaintext.
BY_THE_CHART = {
    "PORT", "BIND", "METRICS_PORT", "VAULTR_HOME", "BACKGROUND", "AUDIT_STATE_FILE",
    "MIGRATION_DATABASE_URL",  # the migration gets it as its DATABASE_URL
}  # fmt: skip
# Only the drill needs these; the chart has them with the secrets of every component.
OF_THE_DRILL = {"BACKUP_IDENTITY_FILE", "BACKUP_SCRATCH_URL"}
REQUIRED = ("SMTP_HOST", "SMTP_FROM", "TRUSTED_PROXIES")


def secret_names():
    """List the settings whose values are secrets; they are keys of the chart's Secret."""
    names = {name.upper() for name, kinds in _kinds() if kinds & {SecretStr, Keys}}
    return sorted(names - OF_THE_DRILL - BY_THE_CHART)


def plain_names():
    """List the settings in the ConfigMap."""
    secrets = {*secret_names(), *OF_THE_DRILL}
    return sorted({name.upper() for name, _ in _kinds()} - secrets - BY_THE_CHART)


def settings_schema():
    """Return the JSON schema of `settings` in the chart's values."""
    kinds = {name.upper(): kinds for name, kinds in _kinds()}
    properties = {name: _schema(name, kinds[name]) for name in plain_names()}
    properties["VAULTR_ENV"] = {"const": "production"}
    properties["BASE_URL"] = {"type": "string", "pattern": "^(https://[^/]+)?$"}
    for name in ("SMTP_HOST", "SMTP_FROM"):
        properties[name] = {"type": "string", "minLength": 1}
    properties["SMTP_SECURE"] = {"enum": ["starttls", "tls"]}
    return {
        "description": "Settings without secrets, by name: docs/environment-variables.md",
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
        "required": list(REQUIRED),
    }


def _schema(name, kinds):
    words = [each for kind in kinds for each in typing.get_args(kind) if _is_literal(kind)]
    if words:
        return {"enum": words}
    if TrustedProxies in kinds:
        return {"type": ["integer", "string"], "minimum": 0, "maximum": 8}
    if int in kinds:
        info = Settings.model_fields[name.lower()].metadata
        least = next((getattr(one, "ge", None) for one in info if hasattr(one, "ge")), None)
        most = next((getattr(one, "le", None) for one in info if hasattr(one, "le")), None)
        bounds = {"minimum": least, "maximum": most}
        return {
            "type": "integer",
            **{key: bound for key, bound in bounds.items() if bound is not None},
        }
    if Rate in kinds:
        return {"type": "string", "pattern": "^[1-9][0-9]*/[1-9][0-9]*$"}
    return {"type": "string"}


def _is_literal(kind):
    return typing.get_origin(kind) is typing.Literal


def _kinds():
    """List each field with the allowed types of its value."""
    for name, field in Settings.model_fields.items():
        kind = field.annotation
        several = typing.get_origin(kind) in (types.UnionType, typing.Union)
        flat = [_unwrapped(one) for one in (typing.get_args(kind) if several else (kind,))]
        yield name, {Path if one is Path else one for one in flat}


def _unwrapped(kind):
    return typing.get_args(kind)[0] if typing.get_origin(kind) is typing.Annotated else kind
