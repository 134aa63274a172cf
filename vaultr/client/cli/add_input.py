"""Build a new item from options, prompts and standard input."""

import sys
from typing import TYPE_CHECKING, Any, Final

import click

from vaultr.client.cli import output, prompts
from vaultr.client.cli.item_options import ItemOptions, with_custom_fields
from vaultr.client.cli.options import GlobalOptions
from vaultr.client.errors import UsageError
from vaultr.client.items import site_rules
from vaultr.client.items.generator import PasswordRule, password
from vaultr.client.items.otp import NoCode, Totp
from vaultr.client.items.schemas import SECRET_ANYWHERE, VARIABLE_NAME, Part, schema_of
from vaultr.client.strict_json import read_object
from vaultr.client.vaults.name_matching import near

if TYPE_CHECKING:
    from vaultr.client.vaultr_client import Item

# Members that `show --json` prints besides overview and detail; an edit ignores them.
_OTHER_MEMBERS: Final = (
    *("id", "vault_id", "type", "revision", "state", "created_at", "updated_at"),
)
# Fields with several lines, read to the end of standard input.
MULTILINE_FIELD: Final = {"note": "notes", "ssh_key": "private_key", "env_set": "variables"}
# Fields that add and edit prompt for; all others need --json or an import.
PROMPTED_FIELDS: Final = {
    "login": ("password", "totp"),
    "api_key": ("key", "secret"),
    "card": ("cardholder", "number", "exp_month", "exp_year", "code"),
    "identity": ("first_name", "last_name", "email", "phone"),
}
NAME_RULE: Final = "letters, digits and _, not starting with a digit"
# Fields that contain records or variables instead of one text.
_STRUCTURED_FIELDS: Final = ("fields", "source", "passkeys", "history", "variables")
_LABELS: Final = {
    "totp": "TOTP secret",
    "exp_month": "Expiry month (1 to 12)",
    "exp_year": "Expiry year (such as 2031)",
    "code": "Security code",
}


def parse_document(data: bytes, kind: str | None) -> dict[str, Any]:
    """Parse an item in the format of `show --json`; every member is optional.

    :raises UsageError: the data is not such JSON. The message says what is wrong, without values.
    """
    try:
        document = read_object(data)
    except ValueError as error:
        # The message of a JSON error names the position, never the content.
        raise UsageError(f"Standard input is not an item in JSON: {error}") from None
    members = (*_OTHER_MEMBERS, "overview", "detail")
    unknown = [name for name in document if name not in members]
    if unknown:
        raise UsageError(
            f"Standard input: an item has overview and detail, but not {', '.join(unknown)}."
            f"{near(unknown[0], ('overview', 'detail'))}"
            ' Write {"overview": {"title": …}, "detail": {…}}.'
        )
    for part in ("overview", "detail"):
        if not isinstance(document.get(part, {}), dict):
            raise UsageError(f"Standard input: {part} must be an object.")
    revision = document.get("revision")
    if revision is not None and (type(revision) is not int or revision < 1):
        raise UsageError("Standard input: revision must be an integer of at least 1.")
    if kind is not None and document.get("type", kind) != kind:
        raise UsageError(f"Standard input: the type of the item is not {kind}.")
    return document


def check_fields(kind: str, overview: Part, detail: Part, stored: "Item | None" = None) -> None:
    """Check that an item in JSON has only fields that its type knows.

    :param stored: the item to change; fields that it already has are accepted.
    :raises UsageError: the item has an unknown field. The message suggests a similar name.
    """
    schema = schema_of(kind)
    problems = []
    for part, fields, known, own in (
        ("overview", overview, schema.overview, stored.overview if stored else {}),
        ("detail", detail, schema.detail, (stored.detail or {}) if stored else {}),
    ):
        for name in fields:
            secret = part == "overview" and (name in schema.detail or name in SECRET_ANYWHERE)
            if name not in known and name not in own and not secret:
                problems.append(f"{part}.{name} is not a field of {kind}.{near(name, known)}")
    if problems:
        raise UsageError(f"Standard input: {' '.join(problems)}")


def generated(kind: str, rule: str | None = None) -> tuple[Part, Part]:
    """Return the generated values of an item: fields of its overview, and its secrets.

    :param rule: rule of the site for its passwords.
    :raises UsageError: nothing is generated for this type.
    """
    if kind == "ssh_key":
        # cryptography is slow to import, and only this command needs it here.
        from vaultr.client.crypto.primitives import ssh_key_new  # noqa: PLC0415 - heavy, see above

        private, key = ssh_key_new()
        return {"public_key": key.line, "fingerprint": key.fingerprint}, {"private_key": private}
    if "password" not in schema_of(kind).detail:
        raise UsageError(f"--generate works with login and ssh_key only, not with {kind}.")
    return {}, {"password": password(site_rules.parse(rule) if rule else PasswordRule())}


def build_item(options: GlobalOptions, kind: str, item: ItemOptions) -> tuple[Part, Part]:
    """Return the overview and detail of a new item, from options, prompts and standard input."""
    overview, detail = dict(item.overview), Part()
    if item.generate:
        public, detail = generated(kind)
        overview = {**overview, **public}
    overview = _with_title(overview)
    if item.stdin_field is not None:
        set_secret(kind, detail, item.stdin_field, read_value(options))
    elif kind in MULTILINE_FIELD and not item.secrets and not detail:
        field = MULTILINE_FIELD[kind]
        detail = {field: read_multiline(options, field, overview["title"])}
        if not detail[field] or (isinstance(detail[field], str) and not detail[field].strip()):
            raise UsageError(f"{label_of(field)}: standard input is empty. Nothing was saved.")
    elif prompts.can_ask() and sys.stdin.isatty():
        overview, detail = _prompt_for_fields(kind, overview, detail)
    elif not detail and not item.secrets:
        raise UsageError(_cannot_ask(kind))
    for name in item.secrets:
        set_secret(kind, detail, name, _ask(name))
    secrets = {name: _ask(name) for name in item.secret_fields}
    if item.fields or secrets:
        detail["fields"] = with_custom_fields(None, item.fields, secrets)
    check_totp(detail)
    return overview, detail


def _with_title(overview: Part) -> Part:
    if "title" in overview:
        return overview
    if not prompts.can_ask() or not sys.stdin.isatty():
        raise UsageError("The title is missing. Use --title or --json.")
    return {"title": click.prompt("Title", err=True), **overview}


def _prompt_for_fields(kind: str, overview: Part, detail: Part) -> tuple[Part, Part]:
    if kind == "login" and "username" not in overview:
        username = click.prompt("Username (empty for none)", "", err=True, show_default=False)
        overview = {**overview, **({"username": username} if username else {})}
    entries = {
        name: ask_secret(name, hint="empty for none")
        for name in PROMPTED_FIELDS.get(kind, ())
        if name not in detail
    }
    return overview, {**detail, **{name: value for name, value in entries.items() if value}}


def _cannot_ask(kind: str) -> str:
    why = "standard input is not" if prompts.can_ask() else "there is no"
    field = PROMPTED_FIELDS[kind][0]
    return (
        f"Cannot ask for secrets: {why} a terminal. To read the {field} from standard input, use"
        f" --stdin {field}; for the whole item, use --json."
    ).replace("no a terminal", "no terminal")


def _ask(name: str) -> str:
    if not prompts.can_ask():
        raise UsageError(
            f"Cannot ask for {name}: there is no terminal. Use --stdin NAME for one secret, or"
            " --json for several."
        )
    return prompts.ask_hidden(label_of(name))


def secret_target(kind: str, name: str) -> tuple[str, str | None]:
    """Return the field with ``name``, and the variable in it, if it is one.

    :raises UsageError: no such field exists, or no prompt can set it.
    """
    known = schema_of(kind).detail
    text_fields = [each for each in known if each not in _STRUCTURED_FIELDS]
    if name in text_fields:
        return name, None
    if "variables" in known:
        variable = name.removeprefix("variables.")
        if name in known or not VARIABLE_NAME.fullmatch(variable):
            raise UsageError(f"{name} is not a variable name. Use {NAME_RULE}.")
        return "variables", variable
    raise UsageError(
        f"{kind} has no secret field {name}.{near(name, text_fields)} Its secret fields:"
        f" {', '.join(text_fields)}."
    )


def set_secret(kind: str, detail: Part, name: str, value: str) -> None:
    """Set a secret field, or a variable of an environment set, in ``detail``."""
    field, variable = secret_target(kind, name)
    if variable is None:
        detail[field] = value
    else:
        detail.setdefault(field, {})[variable] = value


def read_value(options: GlobalOptions) -> str:
    """Read a secret from standard input, without its final newline; hide it on a terminal.

    :raises UsageError: it is empty or not UTF-8.
    """
    with prompts.echo_off():
        if sys.stdin.isatty():
            output.print_note(
                "Type or paste the value; it is hidden. End with Ctrl-D on a new line."
            )
        data = prompts.read_input(options)
    try:
        text = data.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise UsageError("Standard input is not UTF-8.") from None
    if not text:
        raise UsageError("Standard input is empty. Nothing was saved.")
    return text


def check_totp(detail: Part, before: Part | None = None) -> None:
    """Check that a new TOTP secret produces codes, while the site still shows its QR code.

    :param before: the stored detail; a secret that does not change is not checked.
    :raises NoCode: it produces no codes. The message does not contain the secret.
    """
    if detail.get("totp") != (before or {}).get("totp") and (problem := totp_problem(detail)):
        raise NoCode(f"detail.totp: {problem} Nothing was saved.")


def totp_problem(detail: Part) -> str | None:
    """Return why the TOTP secret produces no codes; None if it does, or if no secret is set."""
    secret = detail.get("totp")
    if isinstance(secret, str) and secret:
        try:
            Totp.parse(secret)
        except NoCode as error:
            return str(error)
    return None


def label_of(name: str) -> str:
    """Return the name of a field or variable as prompts show it."""
    plain = name if not name.islower() else name.replace("_", " ").capitalize()
    return _LABELS.get(name, plain)


def ask_secret(name: str, *, hint: str) -> str:
    """Ask for a secret field; ask again if it is a TOTP secret that produces no codes."""
    while True:
        entry = prompts.ask_hidden(f"{label_of(name)} ({hint})", empty=True)
        problem = totp_problem({name: entry})
        if problem is None:
            return entry
        output.print_note(f"{problem} Compare it with what the site shows.")


def read_multiline(options: GlobalOptions, name: str, title: str, *, hint: str = "") -> Any:
    """Read a field of several lines to the end of standard input; hide it on a terminal."""
    with prompts.echo_off():
        if sys.stdin.isatty():
            what = "NAME=value lines" if name == "variables" else name.replace("_", " ")
            output.print_note(f"Type or paste the {what}; the text is hidden.")
            output.print_note(f"End with Ctrl-D on a new line{hint}.")
        data = prompts.read_input(options)
    if name == "variables":
        # Only environment sets need the dotenv parser.
        from vaultr.client.imports import dotenv  # noqa: PLC0415 - late, see above

        [draft] = dotenv.read(data, title=title)
        return draft.detail["variables"]
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise UsageError("Standard input is not UTF-8.") from None
