"""Builds an item that is added, from options, prompts and standard input."""

import sys
from typing import Any, Final

import click

from vaultr.client.cli import output, prompts
from vaultr.client.cli.options import Choices
from vaultr.client.errors import UsageError
from vaultr.client.items import site_rules
from vaultr.client.items.generator import PasswordRule, password
from vaultr.client.items.otp import NoCode, Totp
from vaultr.client.items.schemas import Part, schema_of
from vaultr.client.strict_json import read_object

# What `show --json` writes beside the two parts; an edit takes it back unseen.
_BESIDE: Final = ("id", "vault_id", "type", "revision", "state", "created_at", "updated_at")
# What is read to the end of standard input, because it has several lines.
LONG: Final = {"note": "notes", "ssh_key": "private_key", "env_set": "variables"}
# Asked for when an item is added or edited by hand; all else comes by --json or an import.
ASKED: Final = {
    "login": ("password", "totp"),
    "api_key": ("key", "secret"),
    "card": ("cardholder", "number", "exp_month", "exp_year", "code"),
    "identity": ("first_name", "last_name", "email", "phone"),
}
_LABELS: Final = {
    "totp": "TOTP secret",
    "exp_month": "Month of expiry, 1 to 12",
    "exp_year": "Year of expiry, as 2031",
    "code": "Security code",
}


def said_in_options(
    *,
    title: str | None,
    username: str | None,
    address: tuple[str, ...],
    folder: str | None,
    tag: tuple[str, ...],
    favourite: bool,
    expires_on: str | None,
) -> Part:
    """Give the overview that the options of `add` say; what was not said is left out."""
    said = {
        "title": title,
        "username": username,
        "urls": list(address),
        "folder": folder,
        "tags": list(tag),
        "favourite": favourite,
        "expires_on": expires_on,
    }
    return {name: value for name, value in said.items() if value}


def document_of(data: bytes, kind: str | None) -> dict[str, Any]:
    """Read an item as `show --json` writes it; all of it may be left out.

    :raises UsageError: it is no such JSON; names what is odd, never a value.
    """
    try:
        document = read_object(data)
    except ValueError as error:
        # The message of a JSON error names the place, never what is there.
        raise UsageError(f"Standard input is not an item in JSON: {error}") from None
    odd = [name for name in document if name not in (*_BESIDE, "overview", "detail")]
    if odd:
        raise UsageError(
            f"Standard input: an item has overview and detail, but not {', '.join(odd)}."
        )
    for part in ("overview", "detail"):
        if not isinstance(document.get(part, {}), dict):
            raise UsageError(f"Standard input: {part} must be an object.")
    revision = document.get("revision")
    if revision is not None and (type(revision) is not int or revision < 1):
        raise UsageError("Standard input: revision must be a whole number from 1.")
    if kind is not None and document.get("type", kind) != kind:
        raise UsageError(f"Standard input holds another type than {kind}.")
    return document


def generated(kind: str, rule: str | None = None) -> tuple[Part, Part]:
    """Return what is generated for a new item: its public part, and its secrets.

    :param rule: rule of the site, which a password has to follow.
    :raises UsageError: nothing is generated for this type.
    """
    if kind == "ssh_key":
        # cryptography takes long to import, and only this command needs it here.
        from vaultr.client.crypto.primitives import ssh_key_new  # noqa: PLC0415 - heavy, see above

        private, key = ssh_key_new()
        return {"public_key": key.line, "fingerprint": key.fingerprint}, {"private_key": private}
    if "password" not in schema_of(kind).detail:
        raise UsageError(f"--generate goes with login and ssh_key, not with {kind}.")
    return {}, {"password": password(site_rules.parse(rule) if rule else PasswordRule())}


def asked(choices: Choices, kind: str, given: Part, drawn: Part) -> tuple[Part, Part]:
    """Ask for what the options did not say, and for the secrets of the type.

    :param drawn: secrets that are there already, and so are not asked for.
    """
    detail = dict(drawn)
    overview = dict(given)
    if "title" not in overview:
        if not prompts.can_ask():
            raise UsageError("Say --title, or hand the item over by --json.")
        overview = {"title": click.prompt("Title", err=True), **overview}
    if kind in LONG:
        detail = {LONG[kind]: long_value(choices, LONG[kind], overview["title"])}
    elif prompts.can_ask():
        if kind == "login" and "username" not in overview:
            username = click.prompt("Username (empty for none)", "", err=True, show_default=False)
            overview.update({"username": username} if username else {})
        answers = {
            name: ask_secret(name, hint="empty for none")
            for name in ASKED[kind]
            if name not in drawn
        }
        detail |= {name: value for name, value in answers.items() if value}
    elif not drawn:
        raise UsageError("There is no terminal to ask for secrets on: use --json.")
    return overview, detail


def check_totp(detail: Part, before: Part | None = None) -> None:
    """Refuse a TOTP secret that gives no codes, before the site's QR code is gone.

    :param before: what the item has; a secret that is there already stays as it is.
    :raises NoCode: says why, without the secret.
    """
    if detail.get("totp") != (before or {}).get("totp") and (fault := totp_fault(detail)):
        raise NoCode(f"detail.totp: {fault} Nothing was written.")


def totp_fault(detail: Part) -> str | None:
    """Tell why the TOTP secret gives no codes, without it; None where it does, or none is there."""
    secret = detail.get("totp")
    if isinstance(secret, str) and secret:
        try:
            Totp.parse(secret)
        except NoCode as error:
            return str(error)
    return None


def ask_secret(name: str, *, hint: str) -> str:
    """Ask for a secret field, and again where it is a TOTP secret that gives no codes."""
    label = _LABELS.get(name, name.replace("_", " ").capitalize())
    while True:
        answer = prompts.ask_hidden(f"{label} ({hint})", empty=True)
        fault = totp_fault({name: answer})
        if fault is None:
            return answer
        output.tell(f"{fault} Look again at what the site shows.")


def long_value(choices: Choices, name: str, title: str, *, hint: str = "") -> Any:
    """Read what has several lines, to the end of standard input; nothing is shown of it."""
    with prompts.unechoed():
        if sys.stdin.isatty():
            what = "NAME=value lines" if name == "variables" else name.replace("_", " ")
            output.tell(f"Type or paste the {what}; nothing is shown of it.")
            output.tell(f"End with Ctrl-D on a line of its own{hint}.")
        data = prompts.read_input(choices)
    if name == "variables":
        # One type of seven needs the reader of dotenv files.
        from vaultr.client.imports import dotenv  # noqa: PLC0415 - late, see above

        [draft] = dotenv.read(data, title=title)
        return draft.detail["variables"]
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise UsageError("Standard input is not UTF-8.") from None
