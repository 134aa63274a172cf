"""The environment that `vaultr run` builds: sets of several vaults, files, references, in order."""

import json
import os
import sys
from pathlib import Path

import pytest

from tests.harness.client.devices import Device

SHOW = "import json, os; print(json.dumps(dict(os.environ)))"


@pytest.fixture(scope="module")
def two_vaults(device):
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


def test_sets_of_several_vaults_are_merged(two_vaults):
    sets = ("--env-set", "given base", "--env-set", "vaultr://Given/given prod")
    environ = environ_of(two_vaults, *sets, "--last-wins")

    assert (environ["BASE"], environ["BOTH"], environ["DB_URL"]) == ("1", "of prod", "db")
    assert environ["DB_PASSWORD"] == "hunter2 given"


def test_sets_of_same_name_require_a_vault(two_vaults):
    message = two_vaults.fails(1, "run", "--env-set", "given twice", "--", "true")
    assert "vaultr://VAULT/given twice" in message

    named = environ_of(two_vaults, "--env-set", "vaultr://Given/given twice")
    chosen = environ_of(two_vaults, "--env-set", "given twice", "--vault", "Personal")

    assert (named["WHERE"], chosen["WHERE"]) == ("Given", "Personal")


def test_env_file_mixes_values_and_references_and_overrides_sets(two_vaults, tmp_path):
    file = tmp_path / ".env"
    file.write_text(
        "PLAIN=it is\nPW=vaultr://Given/given%2Fpost/password\nN='vaultr://Given/given%2Fpost/notes'\n"
        'DB="vaultr://Given/given prod/DB_PASSWORD"\nBASE=of the file\n'
    )

    message = two_vaults.fails(
        2, "run", "--env-set", "given base", "--env-file", str(file), "--", "true"
    )
    environ = environ_of(
        two_vaults, "--env-set", "given base", "--env-file", str(file), "--last-wins"
    )

    assert f"BASE (in given base and {file})" in message
    assert (environ["PLAIN"], environ["PW"], environ["N"]) == ("it is", "a b'c$d", "1\n2")
    assert (environ["DB"], environ["BASE"]) == ("hunter2 given", "of the file")


def test_reference_in_environment_is_replaced_by_its_value(two_vaults):
    here = [("PW", "vaultr://Given/given%2Fpost/password"), ("SEE", "see vaultr://a/b/c")]

    environ = json.loads(two_vaults.done("run", sys.executable, "-c", SHOW, env=here))
    over = environ_of(two_vaults, "--env-set", "given base", env=[("BASE", here[0][1])])

    assert (environ["PW"], environ["SEE"]) == ("a b'c$d", "see vaultr://a/b/c")
    assert over["BASE"] == "1"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("A=vaultr://Given/nothing/password", "no such item"),
        ("A=vaultr://Nowhere/x/password", "no such vault"),
        ("A=vaultr://Given/given%2Fpost/pin", "no field pin"),
        ("A=vaultr://Given/given%2Fpost", "does not have the form vaultr://VAULT/ITEM/FIELD"),
        ("A='x", "never closed"),
    ],
)
def test_unresolvable_reference_prevents_starting_the_command(two_vaults, tmp_path, line, expected):
    (file := tmp_path / ".env").write_text(f"GOOD=1\n{line}\n")

    result = two_vaults.types("run", "--env-file", str(file), "--", "touch", str(tmp_path / "ran"))

    assert result.returncode in (1, 2)
    assert expected in result.stderr
    assert str(file) in result.stderr
    assert not (tmp_path / "ran").exists()


def test_only_option_passes_matching_names_and_avoids_conflicts(two_vaults):
    environ = environ_of(two_vaults, "--env-set", "given base", "--env-set", "given prod",
                         "--only", "DB_*", "--only", "BASE")  # fmt: skip

    assert {"BASE", "DB_URL", "DB_PASSWORD"} <= set(environ)
    assert "BOTH" not in environ
    message = two_vaults.fails(2, "run", "--env-set", "given base", "--only", "db_*", "--", "true")
    assert "--only db_* matches no variable" in message


def test_prefix_is_added_to_variable_names(two_vaults):
    environ = environ_of(two_vaults, "--env-set", "given base", "--prefix", "APP_")

    assert environ["APP_BASE"] == "1"
    assert "BASE" not in environ
    for odd in ("1_", "A-", "ü"):
        two_vaults.fails(2, "run", "--env-set", "given base", "--prefix", odd, "--", "true")


def test_clean_environment_passes_only_essential_variables(two_vaults):
    here = [("LC_TIME", "C.UTF-8"), ("TERM", "xterm"), ("AWS_SECRET_ACCESS_KEY", "x"), ("A", "1")]

    environ = environ_of(two_vaults, "--env-set", "given base", "--clean-env", env=here)

    assert environ["PATH"] == two_vaults.environ["PATH"]
    assert (environ["LC_TIME"], environ["TERM"]) == ("C.UTF-8", "xterm")
    assert environ["BASE"] == "1"
    assert not {"A", "AWS_SECRET_ACCESS_KEY", "VAULTR_URL", "VAULTR_DIR"} & set(environ)


def test_set_reference_to_another_item_is_rejected(two_vaults):
    message = two_vaults.fails(1, "run", "--env-set", "vaultr://Given/given%2Fpost", "--", "true")

    assert "is not an environment set" in message


def test_offline_run_uses_cache_and_shows_age(two_vaults):
    two_vaults.done("sync")
    words = ("run", "--env-set", "given base", "--offline", "--", "printenv", "BASE")
    result = two_vaults.types(*words, env=[("VAULTR_URL", "")])

    assert (result.returncode, result.stdout) == (0, "1\n")
    assert "Using the copy on this device, less than a minute old." in result.stderr
    message = two_vaults.fails(
        1, "run", "--env-set", "given base", "--offline", "--max-age", "0s", "--", "true"
    )
    assert "The copy on this device is" in message


def test_export_accepts_the_same_sets_and_options(two_vaults):
    words = (
        "export",
        "given base",
        "vaultr://Given/given prod",
        "--only",
        "DB_*",
        "--prefix",
        "X_",
    )

    assert two_vaults.done(*words) == "X_DB_URL=db\nX_DB_PASSWORD='hunter2 given'\n"
    assert two_vaults.run_json(*words) == {"X_DB_URL": "db", "X_DB_PASSWORD": "hunter2 given"}
    assert two_vaults.done(*words, "--format", "kubernetes", "--name", "x").startswith(
        "apiVersion: v1\n"
    )
    assert "--name" in two_vaults.fails(1, *words, "--format", "kubernetes")
    two_vaults.fails(2, *words, "--format", "dotenv", "--json")
    two_vaults.fails(2, *words, "--name", "x")


def test_written_file_is_private_and_never_overwritten(two_vaults, tmp_path):
    place = tmp_path / "out.env"
    words = ("export", "given prod", "-o", str(place))

    before = os.umask(0)
    two_vaults.done(*words)
    os.umask(before)
    assert place.stat().st_mode & 0o777 == 0o600
    assert "already exists" in two_vaults.fails(1, *words)
    place.write_text("old")
    two_vaults.done(*words, "--force")

    assert "hunter2 given" in place.read_text()
    assert os.listdir(tmp_path) == ["out.env"]
    assert "nothing was written" in two_vaults.fails(1, *words[:3], str(tmp_path / "no" / "x"))


def test_read_and_inject_output_referenced_values(two_vaults, tmp_path):
    ref = "vaultr://Given/given%2Fpost/password"
    template = f"pw: {{{{ {ref} }}}}\nraw={ref}\n"

    assert two_vaults.done("read", ref) == "a b'c$d\n"
    assert two_vaults.done("read", ref, "-n") == "a b'c$d"
    assert two_vaults.run_json("read", ref) == "a b'c$d"
    assert two_vaults.done("inject", stdin=template) == "pw: a b'c$d\nraw=a b'c$d\n"
    (source := tmp_path / "t").write_text(template)
    two_vaults.done("inject", "-i", str(source), "-o", str(tmp_path / "out"))
    assert (tmp_path / "out").read_text() == "pw: a b'c$d\nraw=a b'c$d\n"
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o600


def test_template_without_references_works_without_account(site, tmp_path):
    new = Device(tmp_path / "home", site.url)

    assert new.done("inject", stdin="nothing\n", password=None) == "nothing\n"
    assert not Path(new.environ["VAULTR_DIR"]).exists()


def test_template_is_written_completely_or_not(two_vaults, tmp_path):
    ref = "vaultr://Given/given%2Fpost"

    result = two_vaults.types(
        "inject", "-o", str(tmp_path / "out"), stdin=f"{ref}/password\n{ref}/pin\n"
    )

    assert (result.returncode, result.stdout) == (1, "")
    assert "line 2" in result.stderr
    assert "a b'c" not in result.stderr
    assert os.listdir(tmp_path) == []
