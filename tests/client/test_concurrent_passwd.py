"""Two devices change the master password at the same moment, with a real server: one succeeds."""

import secrets

import httpx2
import pytest

from tests.harness.client.interleaved_commands import InterleavedCommand
from tests.harness.client.mailbox import link, mailed
from tests.harness.client.server_attacks import titles
from tests.harness.client.world import PASSWORD, mail
from vaultr import Vaultr
from vaultr.client.account.credentials import WrongPassword
from vaultr.client.errors import CredentialsInvalid, PinMismatch, SessionEnded, VaultrError

WRITES = (
    lambda device, number: device.add("login", *mail(f"Item {number}")),
    lambda device, number: device.create_vault(f"Vault {number}"),
    lambda device, number: device.rotate(restart=True),
    lambda device, number: device.create_recovery_key(),
)
WHOLE = 60
# Headers about the transport of a body, which is already decoded.
CODED = {"content-encoding", "content-length", "transfer-encoding"}


class Through:
    """Forwards requests to a real server, each on a new connection."""

    def __init__(self, url):
        self._url = url

    def handle(self, request):
        with httpx2.Client(trust_env=False) as client:
            answer = client.send(request)
        stored = {k: v for k, v in answer.headers.items() if k.lower() not in CODED}
        return httpx2.Response(answer.status_code, headers=stored, content=answer.content)

    def device(self, folder):
        carrier = httpx2.MockTransport(lambda request: self.handle(request))
        return Vaultr(self._url, home=folder, transport=carrier, agent=False)


@pytest.fixture
def owner(derived_at_once, site, tmp_path):
    """An owner with two devices, given by their folders, and the transport to the server."""
    email = f"crossing-{secrets.token_hex(4)}@example.org"
    through = Through(site.url)
    folders = {name: tmp_path / name for name in ("laptop", "phone")}
    laptop = through.device(folders["laptop"])
    made = laptop.signup(email, PASSWORD)
    laptop.verify(mailed(site, email, link("/verify-email"))[-1])
    laptop.login(email, PASSWORD)
    laptop.add("login", *mail())
    laptop.close()
    phone = through.device(folders["phone"])
    phone.login(email, PASSWORD, secret_key=made.secret_key)
    phone.sync()
    phone.close()
    return through, folders


def opened(through, folder, password):
    device = through.device(folder)
    device.unlock(password)
    return device


def check_followed(through, folders, password, wrong, *, items=("Mail",)):
    """Check that only ``password`` opens the account, and let the second device follow."""
    won, lost = folders
    for each in wrong:
        with pytest.raises((CredentialsInvalid, WrongPassword)):
            opened(through, won, each)
        with pytest.raises(CredentialsInvalid):
            through.device(won).login(through.device(won).email, each)
    device = through.device(lost)
    with pytest.raises(PinMismatch, match="vaultr login --changed"):
        device.login(device.email, password)
    device.login(device.email, password, changed=True)
    for folder in folders:
        device = opened(through, folder, password)
        assert not device.change_is_pending
        device.sync()
        assert titles(device) == sorted(items)
        device.edit("Mail", detail={"password": f"of {folder.name}"})
        device.close()


def test_one_of_two_password_changes_succeeds(owner, count):
    through, folders = owner
    handle, password, finished = through.handle, PASSWORD, 0
    for at in range(1, count(12, many=60), count(8, many=2)):
        for new_key in (False, True):
            through.handle = handle
            news = {name: f"the {at}th password of the {name} {new_key}" for name in folders}

            def change(name, *, old=password, new_key=new_key, news=news):
                device = opened(through, folders[name], old)
                return device.change_password(old, news[name], new_key=new_key)

            crossing = InterleavedCommand(
                through, at, lambda change=change: change("phone"), seconds=WHOLE
            )
            crossing.count()
            try:
                failed = change("laptop") and None
            except VaultrError as error:
                failed = error
            if not crossing.began:
                finished += 1
                password = news["laptop"]
                check_followed(through, [folders["laptop"], folders["phone"]], password, [])
                continue
            failures = {"laptop": failed, "phone": crossing.end()}
            (won,) = [name for name, failure in failures.items() if failure is None]
            (lost,) = failures.keys() - {won}
            assert isinstance(failures[lost], SessionEnded), failures
            wrong, password = [password, news[lost]], news[won]
            check_followed(through, [folders[won], folders[lost]], password, wrong)
        if finished > 1:
            break


def test_writes_of_another_device_survive_a_new_account_key(owner, count):
    through, folders = owner
    handle, password, items, number = through.handle, PASSWORD, {"Mail"}, 0
    for at in range(1, count(24, many=60), count(9, many=3)):
        through.handle, number = handle, number + 1
        write, new = WRITES[number % len(WRITES)], f"the {at}th password of the laptop"

        def written(*, password=password, write=write, number=number):
            with opened(through, folders["phone"], password) as phone:
                write(phone, number)

        crossing = InterleavedCommand(through, at, written, seconds=WHOLE)
        laptop = opened(through, folders["laptop"], password)
        crossing.count()
        laptop.change_password(password, new, new_key=True)
        laptop.rotate()
        laptop.sync()
        if not crossing.began:
            break
        failure = crossing.end()
        assert isinstance(failure, SessionEnded | None), repr(failure)
        wanted = {f"Item {number}"} if write is WRITES[0] else set()
        found = set(titles(laptop))
        assert items <= found <= items | wanted
        assert failure is not None or wanted <= found, "an acknowledged write exists"
        items = found
        laptop.close()
        check_followed(through, list(folders.values()), new, [password], items=items)
        password = new
