"""Read settings from the environment and from files, and generate development keys."""

import contextlib
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from vaultr.protocol.encoding import b64
from vaultr.settings.private_files import protect_home
from vaultr.settings.types import _KEY_BYTES, _SQLITE, CHECKPOINT_KEY, DEVELOPMENT, KEY_SETS


def read(variables: Mapping[str, str], names: set[str]) -> tuple[dict[str, str], list[str]]:
    """Read each setting from its variable or from the file that ``<NAME>_FILE`` names.

    :return: the values, and a problem for each file that cannot be read.
    """
    present = {name: text for name, text in variables.items() if text}
    for end in ("", "_FILE"):
        if f"DATADOG_HOST{end}" in present and not {"STATSD_HOST", "STATSD_HOST_FILE"} & set(
            present
        ):
            present[f"STATSD_HOST{end}"] = present[f"DATADOG_HOST{end}"]
    values = {name: present[name] for name in names if name in present}
    problems = []
    for name in sorted(names):
        path = present.get(f"{name}_FILE")
        if path is None:
            continue
        if name in values:
            problems.append(f"{name}: set either this or {name}_FILE, not both")
            continue
        try:
            text = Path(path).read_text("utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not UTF-8 text"
            problems.append(f"{name}_FILE: cannot read the file: {reason}")
        else:
            values[name] = text
            if not text:
                problems.append(f"{name}_FILE: the file is empty")
    if values.get("SMTP_SECURE", "").lower() in ("false", "true"):
        values["SMTP_SECURE"] = "tls" if values["SMTP_SECURE"].lower() == "true" else "starttls"
    return values, problems


def add_defaults(values: dict[str, str], problems: list[str]) -> None:
    """Add defaults that depend on other settings and, in development, generated keys."""
    env = values.setdefault(
        "VAULTR_ENV", "production" if "DATABASE_URL" in values else "development"
    )
    if "REDIS_URL" not in values:
        values.setdefault("WEB_CONCURRENCY", "1")
    if env == "production":
        values.setdefault("BACKGROUND", "process")
        values.setdefault("METRICS_PORT", "9464")
        needed = ("REDIS_URL", "SMTP_HOST", "BASE_URL")
        unread = {problem.partition("_FILE:")[0] for problem in problems}
        missing = [name for name in needed if name not in values and name not in unread]
        problems += [f"{name}: required" for name in missing]
        values.setdefault("BIND", "0.0.0.0")  # nosec B104 - a container's only address
        return
    values.setdefault("BIND", "127.0.0.1")
    home = Path(values.setdefault("VAULTR_HOME", "var")).absolute()
    values["VAULTR_HOME"] = str(home)
    values.setdefault("BASE_URL", f"http://127.0.0.1:{values.get('PORT', '3000')}")
    values.setdefault("DATABASE_URL", f"{_SQLITE}{home / 'vaultr.sqlite3'}")
    if env != "development":
        return  # a typo in VAULTR_ENV must not create files
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        protect_home(home)
        for name, key in development_keys(home).items():
            values.setdefault(name, key)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "a file there was changed"
        problems.append(f"VAULTR_HOME: cannot store development keys there: {reason}")


def development_keys(home: Path) -> dict[str, str]:
    """Return the development keys stored under ``home``; the first start generates them.

    If several processes start together, the first one that links its finished file wins.
    """
    path = home / "development-keys"
    if not path.exists():
        draft = home / f".development-keys.{secrets.token_hex(8)}"
        lines = [f"{name}={text}\n" for name, text in generate_keys(DEVELOPMENT).items()]
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.writelines(lines)
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
        draft.unlink()
    pairs = [line.strip().partition("=") for line in path.read_text("utf-8").splitlines()]
    return {name: text for name, _, text in pairs if name}


def generate_keys(key_id: str) -> dict[str, str]:
    """Generate a complete set of server keys, as values of their settings."""
    return {
        name: f"{key_id}:{b64(secrets.token_bytes(_KEY_BYTES))}"
        for name in (*KEY_SETS, CHECKPOINT_KEY)
    }
