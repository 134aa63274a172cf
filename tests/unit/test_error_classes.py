import re

import pytest

from vaultr.client import errors
from vaultr.protocol.problems import SLUGS, STATUS_OF, statuses_of


def test_every_slug_is_lowercase_with_error_status():
    assert [slug for slug in SLUGS if not re.fullmatch(r"[a-z]+(-[a-z]+)*", slug)] == []
    assert {status // 100 for status in STATUS_OF.values()} == {4, 5}


def test_credential_slugs_have_status_401_or_403():
    assert statuses_of("credentials-invalid") == {401, 403}
    assert statuses_of("second-factor-required") == {401, 403}
    assert statuses_of("head-moved") == {409}


@pytest.mark.parametrize(
    ("slug", "kind"),
    [
        ("head-moved", errors.HeadMoved),
        ("precondition-failed", errors.PreconditionFailed),
        ("item-not-found", errors.NotFound),
        ("vault-not-found", errors.NotFound),
        ("in-trash", errors.Conflict),
        ("locked", errors.AccountLocked),
        ("busy", errors.Unavailable),
        ("kdf-refused", errors.Refused),
        ("some-day", errors.Refused),
    ],
)
def test_problem_slug_selects_the_error_class(slug, kind):
    rejection = errors.error_from_problem(
        slug, 409, {"detail": "No.", "revision": 7, "status": 409}
    )

    assert isinstance(rejection, kind)
    assert (rejection.slug, rejection.status, str(rejection)) == (slug, 409, "No.")
    assert rejection.members == {"revision": 7}


def test_failed_precondition_contains_the_stored_revision():
    rejection = errors.error_from_problem("precondition-failed", 412, {"revision": 7})

    assert rejection.revision == 7


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (errors.Refused, 1),
        (errors.UsageError, 2),
        (errors.Locked, 3),
        (errors.ServerUnreachable, 4),
        (errors.IntegrityError, 5),
        (errors.SealBroken, 5),
        (errors.RolledBack, 5),
    ],
)
def test_every_kind_of_error_has_its_exit_code(kind, code):
    assert kind.exit_code == code
