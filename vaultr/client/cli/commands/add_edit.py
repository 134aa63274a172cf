"""Commands that write items: add and edit."""

from typing import TYPE_CHECKING, Any

import click

from vaultr.client.cli import add_input, duplicate_titles, edit_input, output, prompts
from vaultr.client.cli.completers import field_names, item_titles
from vaultr.client.cli.options import Choices, command, pass_choices, vault_option
from vaultr.client.cli.sdk_session import opened
from vaultr.client.errors import PreconditionFailed, UsageError, VaultrError
from vaultr.client.items.schemas import SCHEMAS, check

if TYPE_CHECKING:
    from vaultr.client.vaultr_client import Item, Vaultr


@command(
    "add",
    "vaultr add login --title Mail --username ann",
    "vaultr add login --title Mail --username ann --generate",
    "vaultr add login --json < item.json",
    "vaultr add env_set --title prod < .env",
    no_args_is_help=True,
)
@click.argument("kind", metavar="TYPE", type=click.Choice(list(SCHEMAS)))
@click.option("--title", help="What it is called.")
@click.option("--username", help="The user name, not secret.")
@click.option("--address", multiple=True, metavar="URL", help="Where it is used; may come again.")
@click.option("--folder", help="Its folder, nested by /.")
@click.option("--tag", multiple=True, help="A tag; may come again.")
@click.option("--favourite", is_flag=True, help="One of the favourites.")
@click.option("--expires-on", metavar="DATE", help="Expiry date, such as 2027-01-31")
@click.option("--generate", is_flag=True, help="Generate the password or SSH key")
@vault_option("The vault it goes into, by id or name.")
@pass_choices
def add(choices: Choices, /, kind: str, generate: bool, vault: str | None, **said: Any) -> None:
    """Add an item.

    TYPE is login, api_key, env_set, note, card, identity or ssh_key.

    Secrets are asked for. Notes, environment sets (as NAME=value lines) and private keys are read
    from standard input. With --json the whole item is, as {"overview": {"title": …}, "detail":
    {"password": …}}.
    """
    given = add_input.said_in_options(**said)
    drawn: dict[str, Any] = {}
    if generate:
        public, drawn = add_input.generated(kind)
        given = {**given, **public}
    if choices.json:
        document = add_input.document_of(prompts.read_input(choices), kind)
        overview = {**document.get("overview", {}), **given}
        detail = {**document.get("detail", {}), **drawn}
        add_input.check_totp(detail)
    else:
        overview, detail = add_input.asked(choices, kind, given, drawn)
    check(kind, overview, detail)
    with opened(choices) as vaultr:
        item = vaultr.add(kind, overview, detail, vault=vault)
        duplicate_titles.warn(vaultr, item)
    answer(choices, item, "Added")


@command(
    "edit",
    "vaultr edit Mail --set username=ann --secret password",
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
    help="Set a field that is not secret. A list is set by saying its name again.",
)
@click.option(
    "--unset",
    multiple=True,
    metavar="NAME",
    help="Remove a field, or a variable.",
    shell_complete=field_names,
)
@click.option(
    "--secret",
    "secrets",
    multiple=True,
    metavar="NAME",
    help="Set a secret field, or a variable: it is asked for, or read from standard input.",
    shell_complete=field_names,
)
@click.option("--generate", is_flag=True, help="Generate a new password, by the item's rule")
@click.option("--rule", metavar="RULE", help="Keep a rule for generated passwords, or '' for none")
@vault_option()
@pass_choices
def edit(
    choices: Choices,
    ref: str,
    assignments: tuple[str, ...],
    unset: tuple[str, ...],
    secrets: tuple[str, ...],
    generate: bool,
    rule: str | None,
    vault: str | None,
) -> None:
    """Change an item.

    ITEM is an id, or a title that only one item has. Without options its fields are asked for.

    The variables of an environment set are fields as well: --secret NAME sets one, be it new or
    not, --unset NAME removes one, and all others stay.

    With --json the fields to change are read from standard input: those that are not named stay,
    also variables, null removes one, and a "revision" says what was looked at. What others changed
    since is merged; where they changed the same fields nothing is written, and they are named.
    """
    with opened(choices) as vaultr:
        if choices.json:
            if assignments or unset or secrets or generate or rule is not None:
                raise UsageError("With --json all changes come from standard input.")
            item = _edit_by_document(choices, vaultr, ref, vault)
        else:
            item = _edit_by_options(
                choices,
                vaultr,
                ref,
                vault,
                assignments,
                unset,
                secrets,
                generate=generate,
                rule=rule,
            )
    answer(choices, item, "Changed")


def _edit_by_document(choices: Choices, vaultr: "Vaultr", ref: str, vault: str | None) -> "Item":
    document = add_input.document_of(prompts.read_input(choices), None)
    current = vaultr.item(ref, vault=vault, reveal=True)
    for name, own in (("id", current.id), ("vault_id", current.vault_id), ("type", current.type)):
        if document.get(name, str(own)) != str(own):
            raise UsageError(f"The {name} on standard input is not that of {ref}.")
    add_input.check_totp(document.get("detail", {}), current.detail)
    return _edited(
        vaultr, current, document.get("overview"), document.get("detail"), document.get("revision")
    )


def _edit_by_options(
    choices: Choices,
    vaultr: "Vaultr",
    ref: str,
    vault: str | None,
    assignments: tuple[str, ...],
    unset: tuple[str, ...],
    secrets: tuple[str, ...],
    *,
    generate: bool,
    rule: str | None,
) -> "Item":
    current = vaultr.item(ref, vault=vault, reveal=True)
    public, drawn = edit_input.generated(current, rule, generate=generate)
    if assignments or unset or secrets or drawn:
        overview, detail = edit_input.said_in_options(
            choices, current, assignments=assignments, unset=unset, secrets=secrets
        )
        overview, detail = {**public, **overview}, {**drawn, **detail}
    else:
        overview, detail = edit_input.asked_again(choices, current)
    if not overview and not detail:
        raise VaultrError("Nothing was changed.")
    # What was looked at is what is changed: otherwise another device's edit could be lost.
    return _edited(vaultr, current, overview, detail, current.revision)


def _edited(
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
    except PreconditionFailed as stale:
        # It names the fields that differ, and the revision that is the present one.
        raise VaultrError(
            f"{stale}\nSee it with: vaultr show {current.id} --json --reveal\n"
            "Then edit it again; with --json, give the revision that is shown there."
        ) from stale
    if item.title != current.title:
        duplicate_titles.warn(vaultr, item)
    return item


def answer(choices: Choices, items: "Item | list[Item]", done: str) -> None:
    """Say what became of items: one as an object, several as a list."""
    listed = items if isinstance(items, list) else [items]
    if choices.json:
        found = [output.item_json(item, reveal=False) for item in listed]
        output.as_json(found if isinstance(items, list) else found[0])
    else:
        for item in listed:
            output.say(f"{done}: {output.printable(output.name_of(item))} ({item.id})")
