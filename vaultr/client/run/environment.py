"""Gathers variables for one process: environment sets of several vaults, files, references."""

import fnmatch
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from vaultr.client.errors import UsageError, VaultrError
from vaultr.client.items.references import Reference, Resolver, is_reference
from vaultr.client.items.schemas import NO_VALUE, SCHEMAS, VARIABLE_NAME
from vaultr.client.run import risky_names
from vaultr.client.run.execute import joined
from vaultr.client.vaults.name_matching import meant, near, which

if TYPE_CHECKING:
    from vaultr.client.vaultr_client import Vaultr
    from vaultr.client.vaults.reader import Item

_PREFIX: Final = re.compile(VARIABLE_NAME.pattern)


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be in an environment.

    :ivar sets: environment sets, each by title, by id or as ``vaultr://vault/set``.
    :ivar files: name and content of dotenv files; a value may be a reference.
    :ivar vault: where sets are looked for that name no vault; None for all vaults.
    :ivar only: patterns (``*``, ``?``) of the names that are wanted; empty for all.
    :ivar prefix: put before each name.
    :ivar last_wins: of two that hold one name, let the later win; else that is an error.
    :ivar allow: names from sets that are allowed although they change how programs run; None to
        allow all.
    """

    sets: tuple[str, ...]
    files: tuple[tuple[str, Mapping[str, str]], ...] = field(default=(), repr=False)
    vault: str | None = None
    only: tuple[str, ...] = ()
    prefix: str = ""
    last_wins: bool = False
    allow: tuple[str, ...] | None = ()


@dataclass(frozen=True, slots=True)
class Gathered:
    """The variables of a wish.

    :ivar secrets: those of their values that came out of the vault, and not plain from a file.
    :ivar titles: what the sets are called that they come from.
    """

    variables: dict[str, str] = field(repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    titles: tuple[str, ...] = ()


def gather(vaultr: "Vaultr", wish: Wish, *, offline: bool) -> Gathered:
    """Find all that is wished for; sets in their order, then files in theirs.

    :param offline: from the cache; else the server is asked once.
    :raises UsageError: two hold one name and no order was given; a pattern fits nothing.
    :raises VaultrError: a set or a value is not there, or cannot be in an environment.
    :raises RiskyNames: a set has names that change how programs run, which are not allowed.
    """
    if wish.prefix and not _PREFIX.fullmatch(wish.prefix):
        raise UsageError("A prefix is letters, digits and _, and does not begin with a digit.")
    resolver = vaultr.resolver(offline=offline)
    found = [_set(vaultr, resolver, name, wish.vault) for name in wish.sets]
    files = [(name, _resolved(values, resolver, name)) for name, values in wish.files]
    sources = [*found, *files]
    if wish.only:
        sources = list(_chosen(sources, wish.only))
    if wish.allow is not None:
        from_sets = (name for _, values in sources[: len(found)] for name in values)
        risky_names.check((f"{wish.prefix}{name}" for name in from_sets), wish.allow)
    variables = joined(sources, last_wins=wish.last_wins)
    opened = {value for _, values in found for value in values.values()}
    for (_, texts), (_, values) in zip(wish.files, files, strict=True):
        opened |= {values[name] for name, text in texts.items() if is_reference(text)}
    named = {f"{wish.prefix}{name}": value for name, value in variables.items()}
    return Gathered(
        named,
        secrets=tuple(sorted({*named.values()} & opened)),
        titles=tuple(title for title, _ in found),
    )


def resolved(values: Mapping[str, str], resolver: Resolver) -> dict[str, str]:
    """Put values in the place of references; other texts stay.

    :raises VaultrError: a value cannot be in an environment, or is not there.
    """
    return {name: _value(name, text, resolver) for name, text in values.items()}


def _resolved(values: Mapping[str, str], resolver: Resolver, where: str) -> dict[str, str]:
    try:
        return resolved(values, resolver)
    except VaultrError as error:
        error.add_note(f"It stands in {where}.")
        raise


def _value(name: str, text: str, resolver: Resolver) -> str:
    if not is_reference(text):
        return text
    value = resolver.value(Reference.parse(text))
    if NO_VALUE.search(value):
        raise VaultrError(f"{name}: what {text} names holds a NUL, or half a character.")
    return value


def find_set(vaultr: "Vaultr", resolver: Resolver, name: str, vault: str | None) -> "Item":
    """Find an environment set by title, by id or as ``vaultr://vault/set``, with its variables.

    :param vault: where it is looked for, if the name says no vault; None for all vaults.
    :raises VaultrError: there is no such set, or there are several.
    """
    if is_reference(name):
        item = resolver.item(Reference.parse(name, whole=True))
        if item.type != "env_set":
            raise VaultrError(f"{name} is no environment set.")
        return item
    found = _find(vaultr, vaultr.items(vault=vault, type="env_set", offline=True), name)
    return vaultr.item(str(found.id), vault=str(found.vault_id), offline=True)


def _set(
    vaultr: "Vaultr", resolver: Resolver, name: str, vault: str | None
) -> tuple[str, dict[str, str]]:
    item = find_set(vaultr, resolver, name, vault)
    variables = (item.detail or {}).get("variables", {})
    check = SCHEMAS["env_set"].detail["variables"]
    # Another client may have written it, and the environment takes less than JSON does.
    if odd := [f"{where} {what}" for where, what in check(item.title, variables)]:
        raise VaultrError(f"This set cannot be an environment: {'; '.join(odd)}.")
    return item.title, dict(variables)


def _find(vaultr: "Vaultr", sets: "list[Item]", name: str) -> "Item":
    same_id = [item for item in sets if str(item.id) == name]
    found = same_id or meant(name, ((item.title, item) for item in sets))
    if not found:
        hint = near(name, (item.title for item in sets))
        raise VaultrError(f"There is no environment set {name}.{hint}")
    if len(found) > 1:
        names = {str(each.id): each.name for each in vaultr.vaults(offline=True)}
        homes = [names[str(item.vault_id)] for item in found]
        # A vault tells them apart only where each is in one of its own.
        apart = len(set(homes)) == len(homes)
        advice = f", or as vaultr://VAULT/{name}" if apart else ""
        raise which(
            f"{len(found)} environment sets are called {name}",
            [(str(item.id), home, item.title) for item, home in zip(found, homes, strict=True)],
            advice=f"name one by its id{advice}",
        )
    return found[0]


def _chosen(
    sources: list[tuple[str, dict[str, str]]], patterns: tuple[str, ...]
) -> Iterator[tuple[str, dict[str, str]]]:
    names = {name for _, values in sources for name in values}
    for pattern in patterns:
        if not fnmatch.filter(names, pattern):
            raise UsageError(f"--only {pattern} fits no variable: they would all be left out.")
    for title, values in sources:
        fitting = {
            name: value
            for name, value in values.items()
            if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
        }
        yield title, fitting
