"""Read all settings from the environment, and report every problem in one message."""

from collections.abc import Mapping
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from vaultr.settings import cross_checks, loader, private_files, types

S = TypeVar("S", bound=BaseModel)

# Validates fields only; the cross checks follow, so that all problems are in one list.
FIELDS_ALONE: Final = {"fields_alone": True}
_URLS: Final = ("database_url", "migration_database_url", "backup_scratch_url")


class InvalidSettings(SystemExit):
    """The settings are invalid. The message lists every problem, but no values."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        listing = "\n".join(f"  - {problem}" for problem in problems)
        super().__init__(f"Vaultr cannot start. Fix these settings:\n{listing}")


def read(model: type[S], variables: Mapping[str, str]) -> S:
    """Return the settings that the variables and the files named by them describe.

    :param model: the class of the settings, with one field for each.
    :raises InvalidSettings: all problems together, by name and without values.
    """
    names = {name.upper() for name in model.model_fields}
    values, problems = loader.read(variables, names)
    loader.add_defaults(values, problems)
    values = {name.lower(): text for name, text in values.items()}
    unread = {problem.partition(":")[0].removesuffix("_FILE") for problem in problems}
    settings, found = _validated(model, values)
    found = [problem for problem in found if problem.partition(":")[0] not in unread]
    unread |= {problem.partition(":")[0] for problem in found}
    if settings is None:
        # Run the cross checks anyway, with valid stand-ins for the invalid settings.
        stand_in = {"database_url": "postgresql://", **loader.generate_keys("x")}
        required = {n.lower(): t for n, t in stand_in.items() if n != types.CHECKPOINT_KEY}
        valid = {n: text for n, text in values.items() if n.upper() not in unread}
        settings, _ = _validated(model, {**required, **valid})
    problems += found + cross_checks.problems(settings, unread=unread)
    if problems or settings is None:
        raise InvalidSettings(sorted(set(problems)))
    return settings.model_copy(update=_trusting(settings))


def _validated(model: type[S], values: dict[str, str]) -> tuple[S | None, list[str]]:
    try:
        return model.model_validate(values, context=FIELDS_ALONE), []
    except ValidationError as error:
        return None, [_sentence(one) for one in error.errors(include_url=False)]


def _sentence(error: Any) -> str:
    name = str(error["loc"][0]).upper()
    if error["type"] == "missing":
        return f"{name}: required"
    message = str(error["msg"]).removeprefix("Value error, ")
    return f"{name}: {message[:1].lower()}{message[1:]}"


def _trusting(settings: Any) -> dict[str, Any]:
    """Return database URLs that name a file of DATABASE_CA or PRIVATE_CA: libpq reads files only.

    :raises InvalidSettings: the file cannot be written.
    """
    authorities = settings.database_ca or settings.private_ca
    names = [
        name
        for name in _URLS
        if settings.database_ca is not None or types.verifies(getattr(settings, name))
    ]
    if authorities is None or not names:
        return {}
    try:
        path = private_files.stored(settings.vaultr_home, "database-ca", authorities)
    except OSError as error:
        setting = "PRIVATE_CA" if settings.database_ca is None else "DATABASE_CA"
        problem = f"VAULTR_HOME: cannot store {setting} there: {error.strerror}"
        raise InvalidSettings([problem]) from None
    return {name: types.trusting(getattr(settings, name), path.absolute()) for name in names}
