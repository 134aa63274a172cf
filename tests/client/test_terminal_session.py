"""A first week on real terminals, recorded for docs/terminal-session.md."""

import json
import re

from tests.harness.client.devices import Device
from tests.harness.client.terminal_recording import PAGE, STYLES, Recording

EMAIL = "dora@example.org"
PASSWORD = "amber-lantern-quilt-7-harbour"
SECRET = "tundra violet gravel"
TOTP = "otpauth://totp/Harbour?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
WEAK = "harbour-2019"
REQUESTED = ("Master password: ", PASSWORD)
# The export of the old password manager, with a password that two sites share.
EXPORT = {
    "encrypted": False,
    "folders": [{"id": "f", "name": "Work"}],
    "items": [
        {"id": "1", "type": 1, "name": "Wiki", "folderId": "f", "favorite": True,
         "login": {"username": "dora", "password": WEAK, "uris": [{"uri": "https://wiki.example"}]}},
        {"id": "2", "type": 1, "name": "Bank", "login": {"username": "dora-1", "password": WEAK}},
        {"id": "3", "type": 2, "name": "Alarm code", "notes": "4711", "secureNote": {"type": 0}},
    ],
}  # fmt: skip


def test_first_week_matches_the_page(site, tmp_path, pytestconfig):
    laptop = Device(tmp_path / "home", site.url, email=EMAIL).with_agent()
    phone = Device(tmp_path / "phone", site.url, email=EMAIL).with_agent()
    recording = Recording(laptop)
    recording.mask(site.url, "https://vault.example")
    recording.mask(str(phone.home), "~")
    recording.mask(str(laptop.home), "~")
    recording.mask(f"{tmp_path}/", "")

    key = _signs_up(recording, site)
    _stores_a_login(recording, tmp_path)
    _moves_in(recording, tmp_path)
    _runs_programs(recording, tmp_path)
    _adds_a_device(recording, phone, key)
    _gives_access_to_a_job(recording, tmp_path)
    _looks_after_it(recording, site)

    text = recording.page()
    if pytestconfig.getoption("--write-docs"):
        PAGE.write_text(text)
    assert not {PASSWORD, key} & set(re.split(r"\s", text))
    assert PAGE.read_text() == text, "regenerate it: pytest --write-docs"


def _signs_up(recording, site):
    recording.add_section(
        "Day 1: an account and a first login",
        "You type the master password twice; it is not shown. Write down the secret key.",
    )
    shown = recording.types(
        *("signup", "--email", EMAIL),
        answers=[("New master password: ", PASSWORD), ("(again): ", PASSWORD)],
    )
    key = re.search(r"Secret key: (\S{43})", shown)[1]
    recording.mask(key, "<secret key>")
    recording.mask(re.search(r"shows this code: ([0-9a-f]{8})", shown)[1], "<code>")
    token = site.token(of=EMAIL)
    recording.mask(token, "TOKEN")
    recording.types("verify", token)
    recording.types("login", "--email", EMAIL, "--device-name", "laptop", answers=[REQUESTED])
    return key


def _stores_a_login(recording, tmp_path):
    recording.add_paragraph("Print the emergency kit, and delete its file. It has the secret key.")
    recording.types("kit", f"{tmp_path}/kit.html")
    recording.add_paragraph("Add a login. Secrets are shown only if you ask for them.")
    recording.types(
        *("add", "login", "--title", "Harbour mail", "--username", "dora"),
        answers=[("Password (empty for none): ", SECRET), ("TOTP secret", TOTP)],
    )
    shown = recording.types("show", "Harbour mail")
    assert SECRET not in shown
    assert STYLES.search(shown), "styles are missing"
    recording.types("show", "Harbour mail", "--field", "password")
    shown = recording.types("code", "Harbour mail")
    recording.mask(re.search(r"^\d{6}", shown)[0], "123456")


def _moves_in(recording, tmp_path):
    recording.add_section(
        "Day 2: import from another password manager",
        "First see what would be imported:",
    )
    file = tmp_path / "bitwarden.json"
    file.write_text(json.dumps(EXPORT))
    recording.types("import", str(file), "--dry-run")
    recording.types("import", str(file))
    recording.add_paragraph("Find items by a word, or by folder, tag and type:")
    recording.types("list", "wiki")
    recording.types("list", "--folder", "Work", "--favourite")


def _runs_programs(recording, tmp_path):
    recording.add_section(
        "Day 3: secrets for programs",
        "Import a dotenv file, and run a program with its variables:",
    )
    shop = tmp_path / "shop.env"
    shop.write_text("SHOP_USER=dora\nSHOP_KEY=sk_live_8Zr2kQ0pLmT4\n")
    recording.types("import", str(shop), "--title", "shop")
    program = 'echo "$SHOP_USER pays with $SHOP_KEY"'
    recording.types("run", "--env-set", "shop", "--mask", "--", "sh", "-c", program)
    recording.add_paragraph(
        "A file of references is not secret, so you can commit it to git. `vaultr run`\n"
        "replaces each reference with its value:"
    )
    file = tmp_path / "app.env"
    file.write_text("SMTP_PASSWORD=vaultr://Personal/Harbour mail/password\nSMTP_USER=dora\n")
    recording.add_file(file)
    recording.types("run", "--env-file", str(file), "--", "sh", "-c", 'echo "$SMTP_PASSWORD"')
    recording.types("read", "vaultr://Personal/Harbour mail/username")


def _adds_a_device(recording, phone, key):
    recording.add_section(
        "Day 4: a second device",
        "On the second device, log in with the master password and the secret key:",
    )
    recording.types(
        *("login", "--email", EMAIL, "--device-name", "desktop"),
        answers=[REQUESTED, ("Secret key", key)],
        device=phone,
    )
    recording.add_paragraph("Change an item on this device:")
    recording.types("edit", "Harbour mail", "--set", "username=dora.h", device=phone)
    recording.add_paragraph("The first device gets the change. `history` lists both versions:")
    recording.types("history", "Harbour mail")
    recording.types("sessions", "list")


def _gives_access_to_a_job(recording, tmp_path):
    recording.add_section(
        "Day 5: a CI job",
        "A machine has its own token, which opens only the vaults that you name:",
    )
    token = tmp_path / "ci.token"
    recording.types(
        "machines", "add", "ci", "--vault", "Personal", "--out", str(token), answers=[REQUESTED]
    )
    recording.add_paragraph("The job needs no login and no password:")
    job = Device(tmp_path / "job", recording.device.environ["VAULTR_URL"])
    del job.environ["VAULTR_DIR"], job.environ["VAULTR_AGENT"]
    job.environ["VAULTR_TOKEN_FILE"] = str(token)
    reference = "vaultr://Personal/shop/SHOP_USER"
    recording.types(
        *("read", reference),
        device=job, line=f"VAULTR_TOKEN_FILE=ci.token vaultr read {reference}",
    )  # fmt: skip
    recording.types("machines", "list")


def _looks_after_it(recording, site):
    recording.add_section(
        "Day 6: without the server",
        "Every device keeps a copy, which you can read with --offline:",
    )
    recording.types("show", "Wiki", "--offline")
    recording.add_section(
        "Day 7: check passwords and devices",
        "Find passwords that you should change:",
    )
    recording.types("health")
    recording.add_paragraph("Show the state of this device and of the account, and check both:")
    site.wait_until_ready()
    recording.types("status")
    recording.types("doctor")
    recording.add_paragraph(
        "Lock the device when you leave it. The next command asks for the password:"
    )
    recording.types("lock")
    recording.types(
        "list", "wiki", answers=[("Master password: ", "not this one, surely"), REQUESTED]
    )
