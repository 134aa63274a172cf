"""Every read and write is recorded or fails, and only sealed secrets are stored."""

import pytest

from tests.harness import audit_failures
from tests.harness.vault_rows import assert_problem, everything, reads, unchanged
from tests.harness.vault_writer import VAULTS, Writer


@pytest.fixture
def vault(app, as_ann):
    return Writer(as_ann).create()


@pytest.mark.parametrize("obstacle", audit_failures.ALL)
def test_detail_is_not_returned_if_event_cannot_be_recorded(app, as_ann, vault, obstacle):
    item_id = vault.put()
    item = f"{vault.path}/items/{item_id}"
    paths = [item, f"{vault.path}/sync", f"{item}/versions/1"]
    assert as_ann.get(paths[0]).status_code == 200

    with app.app_context(), audit_failures.put(obstacle):
        answers = [as_ann.get(path) for path in paths]
        overviews = [as_ann.get(f"{vault.path}/items"), as_ann.get(f"{item}/versions")]

    for answer in answers:
        assert_problem(answer, 503, "audit-unavailable")
        assert answer.headers["Retry-After"]
    assert [answer.status_code for answer in overviews] == [200, 200]
    before = reads(app)  # it may include a read that was partly recorded and then rejected
    assert [as_ann.get(path).status_code for path in paths] == [200, 200, 200]
    assert reads(app) == [*before, *[[str(item_id)]] * 3]


@pytest.mark.parametrize("obstacle", audit_failures.ALL)
def test_write_is_rejected_if_event_cannot_be_recorded(app, as_ann, vault, obstacle):
    item_id = vault.put()
    requests = [
        vault.put_request(),
        vault.put_request(item_id, "changed"),
        vault.move_request("trash", item_id),
        vault.batch_request(("remove", item_id)),
        vault.rename_request("another name"),
        vault.repair_request(),
        vault.rotation_request(),
    ]

    with unchanged(app), app.app_context(), audit_failures.put(obstacle):
        answers = [vault.ask(request) for request in requests]
        answers.append(as_ann.post(VAULTS, json=Writer(as_ann).creation()))
        answers.append(as_ann.delete(vault.path))

    for answer in answers:
        assert_problem(answer, 503, "audit-unavailable")
    assert vault.send(requests[0]).status_code == 201


@pytest.mark.parametrize("obstacle", audit_failures.ALL)
def test_rotation_cannot_finish_if_event_cannot_be_recorded(app, vault, obstacle):
    vault.done(vault.rotation_request())
    vault.done(vault.rename_request("moved"))
    request = vault.finish_request()

    with unchanged(app), app.app_context(), audit_failures.put(obstacle):
        assert_problem(vault.ask(request), 503, "audit-unavailable")

    assert vault.send(request).status_code == 200


def test_rows_and_events_contain_no_plain_value(app, as_ann, vault):
    secret = "a planted secret"
    item_id = vault.put(text=secret)
    vault.send(vault.batch_request(("put", item_id, secret)))
    vault.send(vault.rename_request(secret))
    as_ann.get(f"{vault.path}/items/{item_id}")

    stored = repr(everything(app)).encode()

    assert secret.encode() not in stored
