import re

from tests.client.devices import Device
from tests.client.terminal_recording import PAGE, STYLES, Recording

EMAIL = "dora@example.org"
PASSWORD = "amber-lantern-quilt-7-harbour"
SECRET = "tundra violet gravel"
TOTP = "otpauth://totp/Harbour?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"


def test_terminal_session_matches_the_page(site, tmp_path, pytestconfig):
    device = Device(tmp_path / "home", site.url, email=EMAIL).with_agent()
    recording = Recording(device)
    recording.hides(site.url, "https://vault.example")
    recording.hides(str(device.home), "~")

    _moves_in(recording, site)
    _keeps_a_login(recording)
    _uses_it(recording, tmp_path)
    _looks_and_leaves(recording, site)

    text = recording.page()
    if pytestconfig.getoption("--write-docs"):
        PAGE.write_text(text)
    assert PASSWORD not in text
    assert PAGE.read_text() == text, "written anew by: pytest --write-docs"


def _moves_in(recording, site):
    recording.says("Sign up. You type the password twice, and it is not shown.")
    shown = recording.types(
        *("signup", "--email", EMAIL),
        answers=[("New master password: ", PASSWORD), ("(again): ", PASSWORD)],
    )
    recording.hides(re.search(r"Secret key: (\S{43})", shown)[1], "<secret key>")
    recording.hides(re.search(r"shows this code: ([0-9a-f]{8})", shown)[1], "<code>")
    token = site.token(of=EMAIL)
    recording.hides(token, "TOKEN")
    recording.types("verify", token)
    recording.types("unlock", answers=[("Master password: ", PASSWORD)])


def _keeps_a_login(recording):
    recording.says("Add a login and find it again. Secrets are shown only if you ask for them.")
    recording.types(
        *("add", "login", "--title", "Harbour mail", "--username", "dora"),
        answers=[("Password (empty for none): ", SECRET), ("TOTP secret", TOTP)],
    )
    recording.types("list", "harbour")
    shown = recording.types("show", "Harbour mail")
    assert SECRET not in shown
    assert STYLES.search(shown), "a terminal that can show styles gets them"
    recording.types("show", "Harbour mail", "--field", "password")
    shown = recording.types("code", "Harbour mail")
    recording.hides(re.search(r"^\d{6}", shown)[0], "123456")


def _uses_it(recording, tmp_path):
    recording.says("Run a program with secrets from references, and mask them in its output.")
    file = tmp_path / "app.env"
    file.write_text("SMTP_PASSWORD=vaultr://Personal/Harbour mail/password\nSMTP_USER=dora\n")
    recording.hides(f"{tmp_path}/", "")
    recording.types("read", "vaultr://Personal/Harbour mail/username")
    recording.types("run", "--env-file", str(file), "--", "sh", "-c", 'echo "$SMTP_USER"')
    program = 'echo "logging in with $SMTP_PASSWORD"'
    recording.types("run", "--env-file", str(file), "--mask", "--", "sh", "-c", program)


def _looks_and_leaves(recording, site):
    recording.says("Check this device, and lock it.")
    site.wait_until_ready()
    recording.types("doctor")
    recording.types("lock")
    wrong, right = ("Master password: ", "not this one, surely"), ("Master password: ", PASSWORD)
    recording.types("list", answers=[wrong, right])
