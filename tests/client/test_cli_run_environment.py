"""What `vaultr run` gives to a command: sets of several vaults, files, references, in order."""

import json
import os
import sys
from pathlib import Path

import pytest

from tests.client.devices import Device

SHOW = "import json, os; print(json.dumps(dict(os.environ)))"


@pytest.fixture(scope="module")
def given(device):
    """Sets in two vaults, and a login with a password."""
    device.done("vaults", "add", "Given")
    for vault, title, variables in (
        ("Personal", "given base", {"BASE": "1", "BOTH": "of base", "DB_URL": "db"}),
        ("Given", "given prod", {"BOTH": "of prod", "DB_PASSWORD": "hunter2 given"}),
        ("Personal", "given twice", {"WHERE": "Personal"}),
        ("Given", "given twice", {"WHERE": "Given"}),
    ):
        document = {"overview": {"title": title}, "detail": {"variables": variables}}
        device.done("add", "env_set", "--vault", vault, "--json", stdin=json.dumps(document))
    login = {
        "overview": {"title": "given/post"},
        "detail": {"password": "a b'c$d", "notes": "1\n2"},
    }
    device.done("add", "login", "--vault", "Given", "--json", stdin=json.dumps(login))
    return device


def environ_of(device, *words, **more):
    return json.loads(device.done("run", *words, "--", sys.executable, "-c", SHOW, **more))


def test_sets_of_several_vaults_are_joined(given):
    environ = environ_of(given, "--env-set", "given base", "--env-set", "vaultr://Given/given prod",
                         "--last-wins")  # fmt: skip

    assert (environ["BASE"], environ["BOTH"], environ["DB_URL"]) == ("1", "of prod", "db")
    assert environ["DB_PASSWORD"] == "hunter2 given"


def test_of_two_sets_of_one_name_the_vault_decides(given):
    told = given.refused(1, "run", "--env-set", "given twice", "--", "true")
    assert "vaultr://VAULT/given twice" in told

    named = environ_of(given, "--env-set", "vaultr://Given/given twice")
    chosen = environ_of(given, "--env-set", "given twice", "--vault", "Personal")

    assert (named["WHERE"], chosen["WHERE"]) == ("Given", "Personal")


def test_file_mixes_values_and_references_and_overrides_sets(given, tmp_path):
    file = tmp_path / ".env"
    file.write_text(
        "PLAIN=it is\nPW=vaultr://Given/given%2Fpost/password\nN='vaultr://Given/given%2Fpost/notes'\n"
        'DB="vaultr://Given/given prod/DB_PASSWORD"\nBASE=of the file\n'
    )

    told = given.refused(2, "run", "--env-set", "given base", "--env-file", str(file), "--", "true")
    environ = environ_of(given, "--env-set", "given base", "--env-file", str(file), "--last-wins")

    assert f"BASE (in given base and {file})" in told
    assert (environ["PLAIN"], environ["PW"], environ["N"]) == ("it is", "a b'c$d", "1\n2")
    assert (environ["DB"], environ["BASE"]) == ("hunter2 given", "of the file")


def test_a_reference_of_the_environment_gets_its_value(given):
    here = [("PW", "vaultr://Given/given%2Fpost/password"), ("SEE", "see vaultr://a/b/c")]

    environ = json.loads(given.done("run", sys.executable, "-c", SHOW, env=here))
    over = environ_of(given, "--env-set", "given base", env=[("BASE", here[0][1])])

    assert (environ["PW"], environ["SEE"]) == ("a b'c$d", "see vaultr://a/b/c")
    assert over["BASE"] == "1"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("A=vaultr://Given/nothing/password", "no such item"),
        ("A=vaultr://Nowhere/x/password", "no such vault"),
        ("A=vaultr://Given/given%2Fpost/pin", "no field pin"),
        ("A=vaultr://Given/given%2Fpost", "is not vaultr://vault/item/field"),
        ("A='x", "never closed"),
    ],
)
def test_a_reference_that_leads_nowhere_starts_nothing(given, tmp_path, line, told):
    (file := tmp_path / ".env").write_text(f"GOOD=1\n{line}\n")

    said = given.types("run", "--env-file", str(file), "--", "touch", str(tmp_path / "ran"))

    assert said.returncode in (1, 2)
    assert told in said.stderr
    assert str(file) in said.stderr
    assert not (tmp_path / "ran").exists()


def test_only_matching_names_are_passed_and_others_cannot_clash(given):
    environ = environ_of(given, "--env-set", "given base", "--env-set", "given prod",
                         "--only", "DB_*", "--only", "BASE")  # fmt: skip

    assert {"BASE", "DB_URL", "DB_PASSWORD"} <= set(environ)
    assert "BOTH" not in environ
    told = given.refused(2, "run", "--env-set", "given base", "--only", "db_*", "--", "true")
    assert "--only db_* matches no variable" in told


def test_names_get_a_prefix(given):
    environ = environ_of(given, "--env-set", "given base", "--prefix", "APP_")

    assert environ["APP_BASE"] == "1"
    assert "BASE" not in environ
    for odd in ("1_", "A-", "ü"):
        given.refused(2, "run", "--env-set", "given base", "--prefix", odd, "--", "true")


def test_clean_environment_passes_only_essential_variables(given):
    here = [("LC_TIME", "C.UTF-8"), ("TERM", "xterm"), ("AWS_SECRET_ACCESS_KEY", "x"), ("A", "1")]

    environ = environ_of(given, "--env-set", "given base", "--clean-env", env=here)

    assert environ["PATH"] == given.environ["PATH"]
    assert (environ["LC_TIME"], environ["TERM"]) == ("C.UTF-8", "xterm")
    assert environ["BASE"] == "1"
    assert not {"A", "AWS_SECRET_ACCESS_KEY", "VAULTR_URL", "VAULTR_DIR"} & set(environ)


def test_set_reference_must_name_a_set(given):
    told = given.refused(1, "run", "--env-set", "vaultr://Given/given%2Fpost", "--", "true")

    assert "is not an environment set" in told


def test_offline_run_uses_cache_and_shows_age(given):
    given.done("sync")
    said = given.types("run", "--env-set", "given base", "--offline", "--", "printenv", "BASE",
                       env=[("VAULTR_URL", "")])  # fmt: skip

    assert (said.returncode, said.stdout) == (0, "1\n")
    assert "Using the copy on this device, less than a minute old." in said.stderr
    told = given.refused(
        1, "run", "--env-set", "given base", "--offline", "--max-age", "0s", "--", "true"
    )
    assert "The copy on this device is" in told


def test_export_takes_the_same_sets_and_options(given):
    words = (
        "export",
        "given base",
        "vaultr://Given/given prod",
        "--only",
        "DB_*",
        "--prefix",
        "X_",
    )

    assert given.done(*words) == "X_DB_URL=db\nX_DB_PASSWORD='hunter2 given'\n"
    assert given.told(*words) == {"X_DB_URL": "db", "X_DB_PASSWORD": "hunter2 given"}
    assert given.done(*words, "--format", "kubernetes", "--name", "x").startswith(
        "apiVersion: v1\n"
    )
    assert "--name" in given.refused(1, *words, "--format", "kubernetes")
    given.refused(2, *words, "--format", "dotenv", "--json")
    given.refused(2, *words, "--name", "x")


def test_written_file_is_private_and_never_overwritten(given, tmp_path):
    place = tmp_path / "out.env"
    words = ("export", "given prod", "-o", str(place))

    before = os.umask(0)
    given.done(*words)
    os.umask(before)
    assert place.stat().st_mode & 0o777 == 0o600
    assert "exists already" in given.refused(1, *words)
    place.write_text("old")
    given.done(*words, "--force")

    assert "hunter2 given" in place.read_text()
    assert os.listdir(tmp_path) == ["out.env"]
    assert "nothing was written" in given.refused(1, *words[:3], str(tmp_path / "no" / "x"))


def test_read_and_inject_put_values_where_they_are_wanted(given, tmp_path):
    ref = "vaultr://Given/given%2Fpost/password"
    template = f"pw: {{{{ {ref} }}}}\nraw={ref}\n"

    assert given.done("read", ref) == "a b'c$d\n"
    assert given.done("read", ref, "-n") == "a b'c$d"
    assert given.told("read", ref) == "a b'c$d"
    assert given.done("inject", stdin=template) == "pw: a b'c$d\nraw=a b'c$d\n"
    (source := tmp_path / "t").write_text(template)
    given.done("inject", "-i", str(source), "-o", str(tmp_path / "out"))
    assert (tmp_path / "out").read_text() == "pw: a b'c$d\nraw=a b'c$d\n"
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o600


def test_a_template_without_references_needs_no_account(site, tmp_path):
    new = Device(tmp_path / "home", site.url)

    assert new.done("inject", stdin="nothing\n", password=None) == "nothing\n"
    assert not Path(new.environ["VAULTR_DIR"]).exists()


def test_template_is_written_completely_or_not(given, tmp_path):
    ref = "vaultr://Given/given%2Fpost"

    said = given.types("inject", "-o", str(tmp_path / "out"), stdin=f"{ref}/password\n{ref}/pin\n")

    assert (said.returncode, said.stdout) == (1, "")
    assert "line 2" in said.stderr
    assert "a b'c" not in said.stderr
    assert os.listdir(tmp_path) == []
