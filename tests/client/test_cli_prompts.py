import re

from tests.harness.client.devices import Device
from tests.harness.client.owners import owner, second
from tests.harness.client.terminal import at_terminal

PASSWORD = "typed at a terminal by hand"


def test_signup_confirms_password_and_shows_secret_key(site, tmp_path):
    terminal = at_terminal(Device(tmp_path / "home", site.url), "signup")

    terminal.answers("Email address: ", "carol@example.org")
    terminal.answers("New master password: ", PASSWORD)
    terminal.answers("(again): ", "something else entirely")
    terminal.waits_for("The two entries differ.")
    terminal.answers("New master password: ", PASSWORD)
    terminal.answers("(again): ", PASSWORD)

    assert terminal.ends() == 0
    assert re.search(r"Secret key: [A-Za-z0-9_-]{43}\r\n", terminal.shown)
    assert "shown only once" in terminal.shown
    assert "vaultr verify TOKEN" in terminal.shown
    assert PASSWORD not in terminal.shown
    assert "something else" not in terminal.shown


def test_login_on_new_device_prompts_for_secret_key(account, site, tmp_path):
    device = Device(tmp_path / "home", site.url)
    terminal = at_terminal(device, "login", "--email", account.email)

    terminal.answers("Master password: ", account.password)
    terminal.answers("Secret key", account.made["secret_key"])

    assert terminal.ends() == 0
    assert "logged in" in terminal.shown
    assert account.made["secret_key"] not in terminal.shown
    assert account.password not in terminal.shown


def test_kit_lines_can_be_pasted_unchanged(account, site, tmp_path):
    account.done("kit", str(tmp_path / "kit.html"))
    text = re.search(r"<pre>\n(.*?)\n</pre>", (tmp_path / "kit.html").read_text(), re.DOTALL)[1]
    device = Device(tmp_path / "home", site.url)
    terminal = at_terminal(device, "login", "--email", account.email)

    terminal.answers("Master password: ", account.password)
    terminal.answers("Secret key", text)

    assert terminal.ends() == 0
    assert "logged in" in terminal.shown
    assert "key=" not in terminal.shown


def test_changed_login_prompts_about_replaced_secret_key(site, tmp_path):
    first = owner(site, tmp_path, "replaced@example.org")
    phone = second(site, tmp_path, first)
    words = ("passwd", "--others-know", "--new-secret-key")
    made = first.run_json(*words, also={"--new-password-fd": PASSWORD})

    terminal = at_terminal(phone, "login", "--changed")
    terminal.answers("if it was replaced (empty: no): ", made["secret_key"])
    terminal.answers("Master password: ", PASSWORD)

    assert terminal.ends() == 0
    assert made["secret_key"] not in terminal.shown
    phone.done("list", password=PASSWORD)


def test_login_is_added_and_edited_at_prompts(account):
    adding = at_terminal(account, "add", "login", "--username", "ann")
    adding.answers("Master password: ", account.password)
    adding.answers("Title: ", "By hand")
    adding.answers("Password (empty for none): ", "hunter2 by hand")
    adding.answers("TOTP secret (empty for none): ", "")
    assert adding.ends() == 0

    editing = at_terminal(account, "edit", "By hand")
    editing.answers("Master password: ", account.password)
    editing.answers("Title [By hand]: ", "")
    editing.answers("Username [ann]: ", "anna")
    editing.answers("Folder: ", "Home")
    editing.answers("Password (empty to keep): ", "")
    editing.answers("TOTP secret (empty to keep): ", "JBSWY3DPEHPK3PXP")
    assert editing.ends() == 0

    shown = account.run_json("show", "By hand", "--reveal")
    assert shown["overview"] == {"title": "By hand", "username": "anna", "folder": "Home"}
    assert shown["detail"] == {"password": "hunter2 by hand", "totp": "JBSWY3DPEHPK3PXP"}
    assert "hunter2" not in adding.shown + editing.shown


def test_new_secret_must_be_typed_twice(account):
    document = '{"overview": {"title": "Typed twice"}, "detail": {"password": "old"}}'
    account.done("add", "login", "--json", stdin=document)

    terminal = at_terminal(account, "edit", "Typed twice", "--secret", "password")
    terminal.answers("Master password: ", account.password)
    terminal.answers("New password: ", "new")
    terminal.answers("(again): ", "new")

    assert terminal.ends() == 0
    assert account.done("show", "Typed twice", "--field", "password") == "new\n"


def test_declined_confirmation_removes_nothing(account):
    document = '{"overview": {"title": "Kept"}}'
    account.done("add", "note", "--json", stdin=document)

    terminal = at_terminal(account, "rm", "Kept", "--forever")
    terminal.answers("Master password: ", account.password)
    terminal.answers("[y/N]: ", "n")

    assert terminal.ends() == 1
    assert account.run_json("show", "Kept")["state"] == "active"


def test_ctrl_c_at_a_prompt_changes_nothing(account):
    before = account.run_json("sync")
    terminal = at_terminal(account, "add", "login", "--title", "Never")

    terminal.answers("Master password: ", account.password)
    terminal.answers("Username (empty for none): ", "")
    terminal.presses_ctrl_c("Password (empty for none): ")

    assert terminal.ends() == 130
    assert "Traceback" not in terminal.shown
    assert [each["head"] for each in account.run_json("sync")] == [each["head"] for each in before]


def test_typed_long_secret_is_hidden(account):
    terminal = at_terminal(account, "add", "note", "--title", "Long and typed")

    terminal.answers("Master password: ", account.password)
    terminal.answers("Ctrl-D", "first line of it\nand the second one")
    terminal.types("\x04")

    assert terminal.ends() == 0
    assert "first line" not in terminal.shown
    noted = account.run_json("show", "Long and typed", "--reveal")["detail"]["notes"]
    assert noted.split("\n")[:2] == ["first line of it", "and the second one"]


def test_passwd_prompts_whether_password_is_compromised(site, tmp_path):
    first = owner(site, tmp_path, "asked@example.org")

    terminal = at_terminal(first, "passwd")
    terminal.answers("Master password: ", first.password)
    terminal.answers("[y/n]: ", "y")
    terminal.answers("New master password: ", PASSWORD)
    assert "at least 15 characters" in terminal.shown
    terminal.answers("(again): ", PASSWORD)

    assert terminal.ends() == 0
    assert "vaultr login --changed" in terminal.shown
    assert "Rotated keys: 1 vault." in terminal.shown
    assert PASSWORD not in terminal.shown
    first.done("list", password=PASSWORD)
