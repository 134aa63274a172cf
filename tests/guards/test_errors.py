"""Every error has a status and its own slug, and every route declares its errors."""

import importlib
import pkgutil
from collections import defaultdict

import vaultr
from vaultr.api.contract import contract_of
from vaultr.api.problems import status_of
from vaultr.errors import ServiceError
from vaultr.protocol.problems import SLUGS, statuses_of


def service_errors():
    """List all errors of the server, in any module."""
    for module in pkgutil.walk_packages(vaultr.__path__, "vaultr."):
        if module.name.endswith(".errors") and not module.name.startswith("vaultr.client"):
            importlib.import_module(module.name)
    return {kind for kind in descendants(ServiceError) if kind.__module__.startswith("vaultr.")}


def descendants(kind):
    for child in kind.__subclasses__():
        yield child
        yield from descendants(child)


def test_every_error_has_known_slug_and_status(sqlite_app):
    wrong = {
        kind.__name__: (kind.slug, status_of(kind))
        for kind in service_errors()
        if kind.slug not in SLUGS or status_of(kind) not in statuses_of(kind.slug)
    }

    assert wrong == {}


def test_every_error_describes_itself_in_a_sentence(sqlite_app):
    silent = [kind.__name__ for kind in service_errors() if not (kind.__doc__ or "").strip()]
    unfinished = [kind.__name__ for kind in service_errors() if not str(kind()).endswith(".")]

    assert silent == []
    assert unfinished == []


def test_slug_has_one_meaning_within_a_feature(sqlite_app):
    names = defaultdict(set)
    for kind in service_errors():
        if kind.__base__.__module__ != kind.__module__:  # a special case of a similar error
            names[kind.__module__, kind.slug, status_of(kind)].add(kind.__name__)

    assert {key: kinds for key, kinds in names.items() if len(kinds) > 1} == {}


def test_view_lists_only_its_own_errors(sqlite_app):
    """Errors that every route may return (401, 429, 400 and so on) are not declared."""
    for view in sqlite_app.view_functions.values():
        contract = contract_of(view)
        if contract is not None:
            assert len(set(contract.errors)) == len(contract.errors), view.__name__
            assert all(issubclass(kind, ServiceError) for kind in contract.errors)
