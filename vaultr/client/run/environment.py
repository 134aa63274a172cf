"""Resolve the variables of an environment from environment sets, dotenv files and references."""

import fnmatch
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from vaultr.client.errors import UsageError, VaultrError
from vaultr.client.items.references import Reference, Resolver, is_reference
from vaultr.client.items.schemas import NO_VALUE, SCHEMAS, VARIABLE_NAME
from vaultr.client.run import risky_names
from vaultr.client.run.execute import merge_sets
from vaultr.client.vaults.name_matching import meant, near, which

if TYPE_CHECKING:
    from vaultr.client.vaultr_client import Vaultr
    from vaultr.client.vaults.reader import Item

_PREFIX: Final = re.compile(VARIABLE_NAME.pattern)


@dataclass(frozen=True, slots=True)
class EnvironmentSpec:
    """The sources of an environment.

    :ivar sets: environment sets, each by title, by id or as ``vaultr://vault/set``.
    :ivar files: name and content of dotenv files; a value may be a reference.
    :ivar vault: the vault of sets without a vault; None for all vaults.
    :ivar only: patterns (``*``, ``?``) of the variable names to use; empty for all.
    :ivar prefix: prefix of each variable name.
    :ivar last_wins: if two sources define one variable, use the last one instead of raising an
        error.
    :ivar allow: names that are allowed in sets although they change how programs run; None to allow
        all.
    """

    sets: tuple[str, ...]
    files: tuple[tuple[str, Mapping[str, str]], ...] = field(default=(), repr=False)
    vault: str | None = None
    only: tuple[str, ...] = ()
    prefix: str = ""
    last_wins: bool = False
    allow: tuple[str, ...] | None = ()


@dataclass(frozen=True, slots=True)
class ResolvedEnvironment:
    """The variables of a specification.

    :ivar secrets: the values from vaults, not from the text of a file.
    :ivar titles: titles of the sets.
    """

    variables: dict[str, str] = field(repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    titles: tuple[str, ...] = ()


def resolve_environment(
    vaultr: "Vaultr", spec: EnvironmentSpec, *, offline: bool
) -> ResolvedEnvironment:
    """Return all variables: first those of the sets, then those of the files, each in order.

    :param offline: read the cache; otherwise contact the server once.
    :raises UsageError: two sources define one variable; a pattern matches nothing.
    :raises VaultrError: a set or a value does not exist, or cannot be in an environment.
    :raises RiskyNames: a set has names that change how programs run and are not allowed.
    """
    if spec.prefix and not _PREFIX.fullmatch(spec.prefix):
        raise UsageError(
            "--prefix must consist of letters, digits and _, and not start with a digit."
        )
    resolver = vaultr.resolver(offline=offline)
    sets = [_read_set(vaultr, resolver, name, spec.vault) for name in spec.sets]
    files = [(name, _resolve_file(values, resolver, name)) for name, values in spec.files]
    sources = [*sets, *files]
    if spec.only:
        sources = list(_matching(sources, spec.only))
    if spec.allow is not None:
        from_sets = (name for _, values in sources[: len(sets)] for name in values)
        risky_names.check((f"{spec.prefix}{name}" for name in from_sets), spec.allow)
    variables = merge_sets(sources, last_wins=spec.last_wins)
    secrets = {value for _, values in sets for value in values.values()}
    for (_, texts), (_, values) in zip(spec.files, files, strict=True):
        secrets |= {values[name] for name, text in texts.items() if is_reference(text)}
    prefixed = {f"{spec.prefix}{name}": value for name, value in variables.items()}
    return ResolvedEnvironment(
        prefixed,
        secrets=tuple(sorted({*prefixed.values()} & secrets)),
        titles=tuple(title for title, _ in sets),
    )


def resolve_references(values: Mapping[str, str], resolver: Resolver) -> dict[str, str]:
    """Return the values with references replaced; other texts stay unchanged.

    :raises VaultrError: a value does not exist, or cannot be in an environment.
    """
    return {name: _resolve_value(name, text, resolver) for name, text in values.items()}


def _resolve_file(values: Mapping[str, str], resolver: Resolver, file: str) -> dict[str, str]:
    try:
        return resolve_references(values, resolver)
    except VaultrError as error:
        error.add_note(f"The reference is in {file}.")
        raise


def _resolve_value(name: str, text: str, resolver: Resolver) -> str:
    if not is_reference(text):
        return text
    value = resolver.value(Reference.parse(text))
    if NO_VALUE.search(value):
        raise VaultrError(
            f"{name}: the value of {text} contains a NUL or is not valid Unicode, so it cannot be"
            " in an environment."
        )
    return value


def find_set(vaultr: "Vaultr", resolver: Resolver, name: str, vault: str | None) -> "Item":
    """Return an environment set, by title, by id or as ``vaultr://vault/set``, with its variables.

    :param vault: the vault to search if ``name`` contains none; None for all vaults.
    :raises VaultrError: no such set exists, or several do.
    """
    if is_reference(name):
        item = resolver.item(Reference.parse(name, whole=True))
        if item.type != "env_set":
            raise VaultrError(f"{name} is not an environment set.")
        return item
    found = _find(vaultr, vaultr.items(vault=vault, type="env_set", offline=True), name)
    return vaultr.item(str(found.id), vault=str(found.vault_id), offline=True)


def _read_set(
    vaultr: "Vaultr", resolver: Resolver, name: str, vault: str | None
) -> tuple[str, dict[str, str]]:
    item = find_set(vaultr, resolver, name, vault)
    variables = (item.detail or {}).get("variables", {})
    check = SCHEMAS["env_set"].detail["variables"]
    # Another client may have written it, and an environment accepts less than JSON.
    if problems := [f"{item.title}{place} {what}" for place, what in check(variables)]:
        raise VaultrError(f"This set cannot be an environment: {'; '.join(problems)}.")
    return item.title, dict(variables)


def _find(vaultr: "Vaultr", sets: "list[Item]", name: str) -> "Item":
    same_id = [item for item in sets if str(item.id) == name]
    found = same_id or meant(name, ((item.title, item) for item in sets))
    if not found:
        suggestion = near(name, (item.title for item in sets))
        error = VaultrError(f"There is no environment set {name}.{suggestion}")
        error.add_note("To list the environment sets: vaultr list --type env_set")
        raise error
    if len(found) > 1:
        names = {str(each.id): each.name for each in vaultr.vaults(offline=True)}
        vaults = [names[str(item.vault_id)] for item in found]
        # The vault makes the name unique only if each set is in a different one.
        unique = len(set(vaults)) == len(vaults)
        advice = f", or vaultr://VAULT/{name}" if unique else ""
        raise which(
            f"{len(found)} environment sets have the title {name}",
            [(str(item.id), vault, item.title) for item, vault in zip(found, vaults, strict=True)],
            advice=f"use an id{advice}",
        )
    return found[0]


def _matching(
    sources: list[tuple[str, dict[str, str]]], patterns: tuple[str, ...]
) -> Iterator[tuple[str, dict[str, str]]]:
    names = {name for _, values in sources for name in values}
    for pattern in patterns:
        if not fnmatch.filter(names, pattern):
            raise UsageError(f"--only {pattern} matches no variable.")
    for title, values in sources:
        matching = {
            name: value
            for name, value in values.items()
            if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
        }
        yield title, matching
