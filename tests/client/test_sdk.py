"""The SDK with the real app, on both databases: devices of one owner, end to end."""

import re
import threading

import httpx2
import pytest
import sqlalchemy as sa

from tests.harness.client.world import EMAIL, PASSWORD, mail
from vaultr import Vaultr
from vaultr.client.errors import CredentialsInvalid, SessionEnded, TokenInvalid
from vaultr.client.items.schemas import Draft
from vaultr.client.vaultr_client import EditConflict
from vaultr.database.session import db
from vaultr.mail import message
from vaultr.mail.models import Mail


class Owner:
    """A user with an account and devices."""

    def __init__(self, app, folder):
        self._app = app
        self._folder = folder
        self.laptop = self.device("laptop")
        self.signup = self.laptop.signup(EMAIL, PASSWORD)
        self.email_message = self.last_email()
        self.laptop.verify(re.search(r"token=([\w-]+)", self.email_message.text).group(1))
        self.laptop.login(EMAIL, PASSWORD)

    def device(self, name):
        carrier = httpx2.WSGITransport(self._app)
        return Vaultr("http://localhost", home=self._folder / name, transport=carrier, agent=False)

    def second(self, name="phone"):
        device = self.device(name)
        device.login(EMAIL, PASSWORD, secret_key=self.signup.secret_key)
        return device

    def last_email(self):
        with self._app.app_context():
            newest = sa.select(Mail).order_by(Mail.created_at.desc())
            row = db.session.scalars(newest).first()
            return message.unseal(row.id, row.sealed)[1]


@pytest.fixture
def owner(app, tmp_path):
    return Owner(app, tmp_path)


def test_signup_email_contains_the_account_code(owner):
    assert owner.signup.code in owner.email_message.text


def test_signup_token_works_only_once(owner):
    token = re.search(r"token=([\w-]+)", owner.email_message.text).group(1)

    with pytest.raises(TokenInvalid):
        owner.laptop.verify(token)


def test_wrong_password_is_rejected(owner):
    with pytest.raises(CredentialsInvalid):
        owner.device("phone").login(
            EMAIL, "another long password", secret_key=owner.signup.secret_key
        )


def test_two_devices_share_writes_and_resolve_conflict(owner):
    phone = owner.second()
    seen = owner.laptop.add("login", *mail())
    phone.edit("Mail", overview=None, detail={"password": "theirs"})

    with pytest.raises(EditConflict) as conflict:
        owner.laptop.edit("Mail", detail={"password": "ours"}, revision=seen.revision)
    assert conflict.value.fields == ["detail.password"]
    now = conflict.value.revision
    owner.laptop.edit("Mail", detail={"password": "ours"}, revision=now)

    assert phone.item("Mail").detail == {"password": "ours"}
    assert phone.item("Mail").revision == 3


def test_trash_restore_remove_and_rename(owner):
    owner.laptop.add("login", *mail())

    owner.laptop.trash("Mail")
    owner.laptop.restore("Mail")
    owner.laptop.rename_vault("Personal", "Home")
    owner.laptop.trash("Mail")
    phone = owner.second()
    assert [item.title for item in phone.items(state="trash")] == ["Mail"]
    phone.remove("Mail")

    assert owner.laptop.items(state="any") == []
    assert [vault.name for vault in owner.laptop.vaults()] == ["Home"]
    assert owner.laptop.sync()[0].head == phone.sync()[0].head


def test_large_import_reaches_new_device_in_pages(owner):
    drafts = [Draft("login", *mail(f"Item {n}", f"secret {n}")) for n in range(1300)]

    owner.laptop.add_many(drafts)
    owner.laptop.close()

    phone = owner.second()
    assert len(phone.items()) == 1300
    assert phone.item("Item 1299").detail == {"password": "secret 1299"}
    assert phone.explain() == []


def test_offline_device_catches_up_by_delta(owner):
    phone = owner.second()
    phone.sync()
    owner.laptop.add_many([Draft("login", *mail(f"Item {n}")) for n in range(30)])
    owner.laptop.trash("Item 3")
    owner.laptop.remove("Item 4")
    owner.laptop.edit("Item 5", detail={"password": "new"})

    (report,) = phone.sync()

    assert (report.n, report.received) == (33, 29)
    assert phone.item("Item 5").detail == {"password": "new"}
    assert phone.sync()[0].received == 0


def test_vault_created_on_one_device_opens_on_another(owner):
    owner.laptop.sync()
    owner.laptop.create_vault("Work")
    owner.laptop.add("note", {"title": "Plan"}, {"notes": "secret"}, vault="Work")
    owner.laptop.close()

    phone = owner.second()

    assert sorted(vault.name for vault in phone.vaults()) == ["Personal", "Work"]
    assert phone.item("Plan", vault="Work").detail == {"notes": "secret"}


def test_concurrent_writers_on_two_devices_lose_nothing(owner, count):
    each = count(6, many=60)
    phone = owner.second()
    owner.laptop.sync()
    failed = []

    def write(device, name):
        try:
            for n in range(each):
                device.add("login", *mail(f"{name} {n}"))
        except Exception as error:  # noqa: BLE001 - shown by the test below
            failed.append(error)

    writers = [
        threading.Thread(target=write, args=(device, name))
        for device, name in ((owner.laptop, "laptop"), (phone, "phone"))
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()

    assert failed == []
    assert len(phone.items()) == len(owner.laptop.items()) == 2 * each


def test_logout_ends_the_session_on_the_server(owner):
    owner.laptop.sync()

    owner.laptop.logout()

    again = owner.device("laptop")
    again.unlock(PASSWORD)
    with pytest.raises(SessionEnded):
        again.sync()
    again.login(EMAIL, PASSWORD)
    again.sync()
