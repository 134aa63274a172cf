"""Import a dotenv file into an existing environment set: show names, ask, and update it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vaultr.client.cli import output, prompts
from vaultr.client.cli.options import GlobalOptions
from vaultr.client.errors import UsageError, VaultrError

if TYPE_CHECKING:
    from vaultr.client.items.schemas import Draft
    from vaultr.client.vaultr_client import Item, Vaultr


@dataclass(frozen=True, slots=True)
class _Difference:
    """How a dotenv file differs from a set: its new values, and its names by what happens to them.

    :ivar names: the names that are added, changed and the same.
    """

    new: dict[str, str]
    names: dict[str, list[str]]

    @property
    def text(self) -> str:
        return "; ".join(
            f"{done} {', '.join(names)}" for done, names in self.names.items() if names
        )


def put_into(
    options: GlobalOptions, vaultr: "Vaultr", drafts: "list[Draft]", name: str, vault: str | None
) -> None:
    """Set the variables of a dotenv file in the set called ``name``, and list their names.

    :raises UsageError: the file is not a dotenv file.
    :raises VaultrError: no such set exists, or several do.
    """
    if [draft.type for draft in drafts] != ["env_set"]:
        raise UsageError("--into needs a dotenv file.")
    # Loads the code that opens items, which --help does not need.
    from vaultr.client.run.environment import find_set  # noqa: PLC0415 - late, see above

    item = find_set(vaultr, vaultr.resolver(), name, vault)
    variables = drafts[0].detail["variables"]
    _update(options, vaultr, item, variables, _difference(item, variables))


def update_namesake(
    options: GlobalOptions,
    vaultr: "Vaultr",
    drafts: "list[Draft]",
    vault: str | None,
    *,
    yes: bool,
) -> bool:
    """Update the environment set with the title of a dotenv file, after confirmation.

    :return: whether such a set exists; if not, nothing was done.
    :raises UsageError: there is neither a terminal nor ``--yes``.
    :raises VaultrError: the user declines, or several sets have the title.
    """
    if [draft.type for draft in drafts] != ["env_set"] or "source" in drafts[0].detail:
        return False
    title = drafts[0].overview["title"]
    found = [each for each in vaultr.items(vault=vault, type="env_set") if each.title == title]
    shown = output.printable(title)
    if not found:
        return False
    if len(found) > 1:
        ids = ", ".join(str(each.id) for each in found)
        raise VaultrError(
            f"{len(found)} environment sets have the title {shown} ({ids}). Name one: --into ID"
        )
    item = vaultr.item(str(found[0].id), vault=str(found[0].vault_id))
    variables = drafts[0].detail["variables"]
    difference = _difference(item, variables)
    if difference.new and not yes:
        if not prompts.can_ask():
            raise UsageError(
                f"An environment set has the title {shown}. Use --yes to update it, --title for"
                " another title, or --again for a second set."
            )
        output.print_note(f"The environment set {shown} exists. The file: {difference.text}.")
        prompts.confirm(f"Update {shown}?", yes=False)
    _update(options, vaultr, item, variables, difference)
    return True


def _difference(item: "Item", variables: dict[str, str]) -> _Difference:
    stored = (item.detail or {}).get("variables", {})
    new = {each: text for each, text in variables.items() if stored.get(each) != text}
    names = {
        "added": [each for each in new if each not in stored],
        "changed": [each for each in new if each in stored],
        "same": [each for each in variables if each not in new],
    }
    return _Difference(new, names)


def _update(
    options: GlobalOptions,
    vaultr: "Vaultr",
    item: "Item",
    variables: dict[str, str],
    difference: _Difference,
) -> None:
    if difference.new:
        try:
            # With the revision that was read: otherwise another device's edit could be lost.
            vaultr.edit(
                str(item.id),
                detail={"variables": difference.new},
                revision=item.revision,
                vault=str(item.vault_id),
            )
        except KeyboardInterrupt:
            # Loads the code that opens items, which --help does not need.
            from vaultr.client.items.import_runs import ImportInterrupted  # noqa: PLC0415 - late, see above

            raise ImportInterrupted(
                f"Interrupted. {output.printable(item.title)} has all variables of the file, or is"
                " unchanged. To make sure, run the same command again."
            ) from None
    if options.json:
        output.print_json({"read": len(variables), **difference.names})
        return
    output.print_line(f"Imported into {output.printable(item.title)}: {difference.text}.")
