"""The commands `vaultr add` and `vaultr edit`, which write items."""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from vaultr.client.cli import add_input, edit_input, output, prompts
from vaultr.client.cli.completers import field_names, item_titles
from vaultr.client.cli.item_options import ItemOptions, item_options, with_custom_fields
from vaultr.client.cli.options import GlobalOptions, command, pass_options, vault_option
from vaultr.client.cli.sdk_session import unlocked_sdk
from vaultr.client.errors import PinMismatch, PreconditionFailed, UsageError, VaultrError
from vaultr.client.items.schemas import SCHEMAS, check

if TYPE_CHECKING:
    from vaultr.client.vaultr_client import Item, Vaultr


@command(
    "add",
    "vaultr add login --title Mail --username ann",
    "vaultr add login --title Mail --username ann --generate",
    "vaultr add login --title Router --address http://10.0.0.1 --field model=X1 --secret-field pin",
    "echo 'from a pipe' | vaultr add login --title Mail --stdin password",
    "vaultr add login --json < item.json",
    "vaultr add env_set --title prod < .env",
    no_args_is_help=True,
)
@click.argument("kind", metavar="TYPE", type=click.Choice(list(SCHEMAS)))
@item_options
@vault_option("Vault to add it to, by id or name")
@pass_options
def add(options: GlobalOptions, kind: str, item: ItemOptions, vault: str | None) -> None:
    """Add an item to a vault.

    TYPE is login, api_key, env_set, note, card, identity or ssh_key.

    You are asked for the usual secrets of the type, and for those in --secret and --secret-field.
    Notes, environment sets (NAME=value lines) and private keys are read from standard input. With
    --json, the whole item is read from standard input, as {"overview": {"title": …}, "detail":
    {"password": …}}.
    """
    _check_combination(options, item)
    with server_url_advice(options), unlocked_sdk(options) as vaultr:
        if options.json:
            overview, detail = _read_document(options, kind, item)
        elif item.editor:
            from vaultr.client.cli import editor_input  # noqa: PLC0415 - seldom needed, slow to import

            overview, detail = editor_input.new_item(kind, item.overview)
        else:
            overview, detail = add_input.build_item(options, kind, item)
        check(kind, overview, detail)
        added = vaultr.add(kind, overview, detail, vault=vault)
        warn_of_duplicate_title(vaultr, added)
    print_items(options, added, "Added")


def _read_document(
    options: GlobalOptions, kind: str, item: ItemOptions
) -> tuple[dict[str, Any], dict[str, Any]]:
    document = add_input.parse_document(prompts.read_input(options), kind)
    public, secrets = add_input.generated(kind) if item.generate else ({}, {})
    overview = {**document.get("overview", {}), **item.overview, **public}
    detail = {**document.get("detail", {}), **secrets}
    if item.fields:
        detail["fields"] = with_custom_fields(detail.get("fields"), item.fields, {})
    add_input.check_fields(kind, overview, detail)
    add_input.check_totp(detail)
    return overview, detail


def _check_combination(options: GlobalOptions, item: ItemOptions) -> None:
    """Check that no two options read the same input.

    :raises UsageError: two options read the same input.
    """
    if options.json and (item.secrets or item.secret_fields or item.stdin_field or item.editor):
        raise UsageError(
            "--json reads the item from standard input. Do not combine it with --secret,"
            " --secret-field, --stdin or --editor."
        )
    asked = item.secrets or item.secret_fields or item.stdin_field or item.generate or item.fields
    if item.editor and asked:
        raise UsageError("--editor edits the whole item. Do not combine it with other fields.")


@contextmanager
def server_url_advice(options: GlobalOptions) -> Iterator[None]:
    """Suggest ``--address`` in the error if somebody passed an item's URL as ``--url``.

    :raises UsageError: ``--url`` names another server than that of this device.
    """
    try:
        yield
    except PinMismatch as error:
        if options.url is None:
            raise
        raise UsageError(
            f"{error}\n--url is the URL of the Vaultr server. For the website of an item, use"
            " --address."
        ) from None


@command(
    "edit",
    "vaultr edit Mail --set username=ann --secret password",
    "vaultr edit Mail --field region=eu --secret-field pin --unset folder",
    "vaultr edit Mail --generate",
    "vaultr edit prod --secret DATABASE_URL --unset DEBUG",
    "vaultr show Mail --json --reveal | jq … | vaultr edit Mail --json",
    no_args_is_help=True,
)
@click.argument("ref", metavar="ITEM", shell_complete=item_titles)
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="NAME=VALUE",
    help="Set a field that is not secret (repeatable)",
)
@click.option(
    "--unset",
    multiple=True,
    metavar="NAME",
    help="Remove a field or variable (repeatable)",
    shell_complete=field_names,
)
@item_options
@click.option("--rule", metavar="RULE", help="Store a rule for generated passwords, or '' for none")
@vault_option()
@pass_options
def edit(
    options: GlobalOptions,
    ref: str,
    assignments: tuple[str, ...],
    unset: tuple[str, ...],
    item: ItemOptions,
    rule: str | None,
    vault: str | None,
) -> None:
    """Change an item.

    ITEM is an id or a unique title. Without options, you are asked for the fields. Options for
    lists, such as --tag and --address, replace the whole list.

    The variables of an environment set are fields too: --secret NAME sets one, existing or new,
    --unset NAME removes one, and the others stay.

    With --json, the changed fields are read from standard input. Other fields and variables stay;
    null removes one. To detect edit conflicts, include the "revision" that you started from: edits
    of different fields are merged. If both edits changed a field, yours is rejected, and the error
    names the field.
    """
    _check_combination(options, item)
    if (options.json or item.editor) and (assignments or unset or item.any_set or rule is not None):
        source = "--json reads" if options.json else "--editor makes"
        raise UsageError(f"{source} all changes. Do not combine it with options that set fields.")
    with server_url_advice(options), unlocked_sdk(options) as vaultr:
        if options.json:
            changed = _edit_by_document(options, vaultr, ref, vault)
        else:
            changed = _edit_by_options(options, vaultr, ref, vault, item, assignments, unset, rule)
    print_items(options, changed, "Changed")


def _edit_by_document(
    options: GlobalOptions, vaultr: "Vaultr", ref: str, vault: str | None
) -> "Item":
    document = add_input.parse_document(prompts.read_input(options), None)
    current = vaultr.item(ref, vault=vault, reveal=True)
    for name, own in (("id", current.id), ("vault_id", current.vault_id), ("type", current.type)):
        if document.get(name, str(own)) != str(own):
            raise UsageError(f"Standard input: {name} is not the {name} of {ref}.")
    overview, detail = document.get("overview", {}), document.get("detail", {})
    add_input.check_fields(current.type, overview, detail, current)
    add_input.check_totp(detail, current.detail)
    return _save_edit(
        vaultr, current, document.get("overview"), document.get("detail"), document.get("revision")
    )


def _edit_by_options(
    options: GlobalOptions,
    vaultr: "Vaultr",
    ref: str,
    vault: str | None,
    flags: ItemOptions,
    assignments: tuple[str, ...],
    unset: tuple[str, ...],
    rule: str | None,
) -> "Item":
    current = vaultr.item(ref, vault=vault, reveal=True)
    if flags.editor:
        from vaultr.client.cli import editor_input  # noqa: PLC0415 - seldom needed, slow to import

        overview, detail = editor_input.changes(current)
    elif assignments or unset or flags.any_set or rule is not None:
        public, secrets = edit_input.generated(current, rule, generate=flags.generate)
        overview, detail = edit_input.changes_from_options(
            options, current, flags, assignments=assignments, unset=unset
        )
        overview, detail = {**public, **overview}, {**secrets, **detail}
    else:
        overview, detail = edit_input.prompt_for_changes(options, current)
    if not overview and not detail:
        raise VaultrError("Nothing was changed.")
    # Pass the revision that was read, so that an edit on another device is not lost.
    return _save_edit(vaultr, current, overview, detail, current.revision)


def _save_edit(
    vaultr: "Vaultr",
    current: "Item",
    overview: dict[str, Any] | None,
    detail: dict[str, Any] | None,
    revision: int | None,
) -> "Item":
    try:
        item = vaultr.edit(
            str(current.id),
            overview=overview,
            detail=detail,
            revision=revision,
            vault=str(current.vault_id),
        )
    except PreconditionFailed as error:
        # The error contains the fields that differ and the stored revision.
        raise VaultrError(
            f"{error}\nReview it with: vaultr show {current.id} --json --reveal\n"
            "Then edit again; with --json, use the revision shown there."
        ) from error
    if item.title != current.title:
        warn_of_duplicate_title(vaultr, item)
    return item


def warn_of_duplicate_title(vaultr: "Vaultr", item: "Item") -> None:
    """Warn if another environment set has the same title, because run and export then reject it."""
    if item.type != "env_set":
        return
    sets = vaultr.items(type="env_set", offline=True)
    twins = [each for each in sets if each.title == item.title and each.id != item.id]
    if not twins:
        return
    title = output.printable(item.title)
    if any(each.vault_id == item.vault_id for each in twins):
        advice = "Rename one, or use an id."
    else:
        advice = "Name the vault too: vaultr://VAULT/SET"
    ids = ", ".join(str(each.id) for each in twins)
    output.print_note(
        f"Another environment set has the title {title} ({ids}), so"
        f" `vaultr run --env-set {shlex.quote(title)}` will fail. {advice}"
    )


def print_items(options: GlobalOptions, items: "Item | list[Item]", done: str) -> None:
    """Print changed items: one as an object or line, several as a list or lines."""
    changed = items if isinstance(items, list) else [items]
    if options.json:
        documents = [output.item_json(item, reveal=False) for item in changed]
        output.print_json(documents if isinstance(items, list) else documents[0])
    else:
        for item in changed:
            output.print_line(f"{done}: {output.printable(output.display_name(item))} ({item.id})")
