"""Import dotenv files into new or existing environment sets; warn of duplicate titles."""

import json
import signal
import threading

import httpx2
import pytest

from tests.harness.client.terminal import Terminal

EXPORT = '{"encrypted": false, "items": [{"type": 1, "name": "Mail", "login": {}}]}'


@pytest.fixture
def env(tmp_path):
    file = tmp_path / "shop.env"

    def write(text):
        file.write_text(text)
        return str(file)

    return write


@pytest.fixture
def shop(device, env):
    result = device.types("import", env("A=1\nB=2\nC=3\n"), "--title", "shop")
    assert result.returncode == 0, result.stderr
    [item] = device.run_json("list", "shop", "--type", "env_set")
    yield item, result
    device.done("rm", item["id"], "--forever", "--yes")


def test_import_prints_name_and_use_of_environment_set(device, env, shop):
    _, text = shop
    assert text.stdout == "Imported: shop (3 variables).\n"
    assert "vaultr run --env-set shop -- COMMAND" in text.stderr

    without = device.types("import", env("A=1\n"))

    assert without.stdout == "Imported: shop.env (1 variable).\n"
    assert "--env-set shop.env" in without.stderr
    device.done("rm", "shop.env", "--forever", "--yes")


def test_import_list_contains_dotenv_imports(device, shop):
    runs = device.run_json("import", "--list")

    assert runs[-1]["manager"] == "dotenv"
    assert len(runs[-1]["unchanged"]) == 1


def test_file_changes_existing_set_and_reports_changes(device, env, shop):
    item, _ = shop

    result = device.types("import", env("B=two\nC=3\nD='it''s new'\n"), "--into", "shop")

    assert result.stdout == "Imported into shop: added D; changed B; same C.\n"
    assert "two" not in result.stdout + result.stderr
    assert device.run_json("export", "shop") == {"A": "1", "B": "two", "C": "3", "D": "its new"}
    assert [each["id"] for each in device.run_json("list", "shop")] == [item["id"]]
    again = device.run_json("import", env("B=two\n"), "--into", item["id"])
    assert again == {"read": 1, "added": [], "changed": [], "same": ["B"]}
    assert len(device.run_json("history", item["id"])) == 2


@pytest.mark.parametrize(
    ("words", "code", "expected"),
    [
        (("--into", "sho"), 1, "There is no environment set sho. Similar: shop."),
        (("--into", "shop", "--title", "x"), 2, "Do not combine --into"),
        (("--into", "shop", "--vault", "Nowhere"), 1, "no such vault"),
    ],
)
def test_invalid_into_option_changes_nothing(device, env, shop, words, code, expected):
    assert expected in device.fails(code, "import", env("A=9\n"), *words)
    assert device.run_json("export", "shop")["A"] == "1"


def test_file_with_title_of_a_set_updates_that_set(device, env, shop):
    item, _ = shop
    words = ("import", env("B=two\nD=4\n"), "--title", "shop")

    message = device.fails(2, *words)
    result = device.types(*words, "--yes")

    assert "Use --yes to update it" in message
    assert result.stdout == "Imported into shop: added D; changed B.\n"
    assert [each["id"] for each in device.run_json("list", "shop")] == [item["id"]]
    assert device.run_json("export", "shop") == {"A": "1", "B": "two", "C": "3", "D": "4"}


def test_update_of_environment_set_lists_names_and_asks_confirmation(device, env, shop):
    environ = {**device.environ, "TERM": "xterm", "COLUMNS": "100"}
    terminal = Terminal("import", env("B=hidden\n"), "--title", "shop", environ=environ)

    terminal.waits_for("The environment set shop exists. The file: changed B.")
    terminal.answers("Update shop? [y/N]: ", "n")

    assert terminal.ends() == 1
    assert "hidden" not in terminal.shown
    assert device.run_json("export", "shop")["B"] == "2"


def test_ctrl_c_at_prompt_reports_that_nothing_changed(device, env, shop):
    environ = {**device.environ, "TERM": "xterm"}
    terminal = Terminal("import", env("B=hidden\n"), "--title", "shop", environ=environ)

    terminal.presses_ctrl_c("Update shop? [y/N]: ")

    assert terminal.ends() == 130
    assert "Nothing was changed." in terminal.shown
    assert device.run_json("export", "shop")["B"] == "2"


@pytest.fixture
def ctrl_c():
    """Press Ctrl-C from the answering thread until the command has noticed it."""
    noticed = threading.Event()

    def interrupt(*_):
        if not noticed.is_set():
            noticed.set()
            raise KeyboardInterrupt

    def press():
        while not noticed.wait(0.1):  # a Ctrl-C just before the command reads is not noticed
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    before = signal.signal(signal.SIGINT, interrupt)
    yield press
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("stored", [False, True])
def test_ctrl_c_while_update_is_sent_leaves_all_or_nothing(proxy, env, ctrl_c, stored):
    assert proxy.types("import", env("A=1\nB=2\n"), "--title", "shop").code == 0
    words = ("import", env("A=one\nC=3\n"), "--title", "shop", "--yes")

    def press(method, path):
        if method == "PUT" and "/items/" in path:
            proxy.be_honest()
            ctrl_c()
            if not stored:
                raise httpx2.ReadError("the request did not arrive")

    proxy.server.before = press
    stopped = proxy.types(*words)
    again = proxy.types(*words)

    assert (stopped.code, stopped.out) == (130, "")
    assert "shop has all variables of the file, or is unchanged." in stopped.err
    assert "To make sure, run the same command again." in stopped.err
    changes = "same A, C" if stored else "added C; changed A"
    assert (again.code, again.out) == (0, f"Imported into shop: {changes}.\n")
    with proxy.opened() as laptop:
        assert laptop.item("shop").detail["variables"] == {"A": "one", "B": "2", "C": "3"}


def test_unchanged_file_needs_no_confirmation(device, env, shop):
    assert device.done("import", env("A=1\n"), "--title", "shop") == (
        "Imported into shop: same A.\n"
    )


def test_export_of_items_is_rejected_for_a_set(device, shop, tmp_path):
    (file := tmp_path / "export.json").write_text(EXPORT)

    message = device.fails(2, "import", str(file), "--into", "shop")

    assert "--into needs a dotenv file" in message


def test_duplicate_set_name_is_reported_and_rejected_by_ids(device, env, shop):
    first, _ = shop

    result = device.types("import", env("A=1\n"), "--title", "shop", "--again")

    assert f"Another environment set has the title shop ({first['id']})" in result.stderr
    assert "`vaultr run --env-set shop` will fail. Rename one, or use an id." in result.stderr
    second = next(
        each["id"] for each in device.run_json("list", "shop") if each["id"] != first["id"]
    )
    rejected = device.fails(1, "run", "--env-set", "shop", "--", "true")
    assert "2 environment sets have the title shop: use an id." in rejected
    assert f"{first['id']}  Personal  shop" in rejected
    assert f"{second}  Personal  shop" in rejected
    assert device.run_json("export", second) == {"A": "1"}
    device.done("rm", second, "--forever", "--yes")


def test_rename_to_duplicate_set_name_is_reported(device, shop):
    first, _ = shop
    adding = device.types("add", "env_set", "--title", "shop", stdin="A=1\n")
    second = next(
        each["id"] for each in device.run_json("list", "shop") if each["id"] != first["id"]
    )
    away = device.types("edit", second, "--set", "title=away")
    back = device.types("edit", second, "--json", stdin='{"overview": {"title": "shop"}}')

    reported = [
        f"has the title shop ({first['id']})" in arguments.stderr
        for arguments in (adding, away, back)
    ]
    assert reported == [True, False, True]
    assert json.loads(back.stdout)["overview"]["title"] == "shop"
    device.done("rm", second, "--forever", "--yes")


def test_same_set_name_in_two_vaults_needs_vault(device, shop):
    first, _ = shop
    device.done("vaults", "add", "Elsewhere")

    result = device.types(
        "add", "env_set", "--title", "shop", "--vault", "Elsewhere", stdin="A=7\n"
    )

    assert "will fail. Name the vault too: vaultr://VAULT/SET" in result.stderr
    message = device.fails(1, "export", "shop")
    assert "use an id, or vaultr://VAULT/shop." in message
    assert "  Elsewhere  shop" in message
    assert device.run_json("export", "vaultr://Elsewhere/shop") == {"A": "7"}
    assert device.run_json("export", "shop", "--vault", "Elsewhere") == {"A": "7"}
    copying = device.types("move", first["id"], "--to", "Elsewhere", "--keep")
    assert "will fail. Rename one, or use an id." in copying.stderr
    device.done("vaults", "rm", "Elsewhere", "--confirm", "Elsewhere")
