"""Server keys in a file, and the three steps of a rotation."""

import json
import os
import subprocess
import sys
import threading
from datetime import UTC, datetime

import pytest
from click.testing import CliRunner

from vaultr.ops.keys.commands import keys
from vaultr.ops.keys.files import (
    KeyNotFound,
    KeyringLocation,
    WrittenKeyring,
    WrongRotationStep,
    new_id,
)
from vaultr.settings.loader import generate_keys
from vaultr.settings.types import KEY_SETS, Keys

NAME = "JWT_SECRET"
MORNING = datetime(2031, 5, 4, 9, tzinfo=UTC)
LATER = datetime(2031, 5, 4, 9, 0, 1, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path):
    for name, text in generate_keys(new_id(MORNING)).items():
        (tmp_path / name.lower()).write_text(text + "\n")
        (tmp_path / name.lower()).chmod(0o640)
    return tmp_path


def ids(folder, name=NAME):
    return [*Keys.parse((folder / name.lower()).read_text()).by_id]


def run(*arguments, **environ):
    return CliRunner().invoke(keys, arguments, env=environ)


def test_new_key_is_announced_then_becomes_first(folder):
    (old,) = ids(folder)

    announced = run("rotate", NAME, "--dir", str(folder))

    assert announced.exit_code == 0, announced.output
    first, new = ids(folder)
    assert first == old
    assert f"{new} is announced" in announced.output
    switched = run("rotate", NAME, "--dir", str(folder), "--reloaded")
    assert switched.exit_code == 0, switched.output
    assert ids(folder) == [new, old]
    assert f"{new} is in use" in switched.output


def test_rotation_steps_run_only_in_order(folder):
    too_early = run("rotate", NAME, "--dir", str(folder), "--reloaded")
    assert (too_early.exit_code, "no new key is announced" in too_early.output) == (1, True)

    run("rotate", NAME, "--dir", str(folder))
    before = ids(folder)
    again = run("rotate", NAME, "--dir", str(folder))
    assert (again.exit_code, "is already announced" in again.output) == (1, True)

    assert ids(folder) == before
    run("rotate", NAME, "--dir", str(folder), "--reloaded")
    back = run("rotate", NAME, "--dir", str(folder), "--reloaded")
    assert (back.exit_code, "no new key is announced" in back.output) == (1, True)


@pytest.mark.parametrize("name", KEY_SETS)
def test_rotate_changes_only_the_named_key_set(folder, name):
    before = {one: (folder / one.lower()).read_text() for one in KEY_SETS}

    assert run("rotate", name.lower(), "--dir", str(folder)).exit_code == 0

    changed = {one for one in KEY_SETS if (folder / one.lower()).read_text() != before[one]}
    assert changed == {name}


def test_rotate_keeps_file_mode_and_leaves_no_temporary_file(folder):
    files = {path.name for path in folder.iterdir()}

    run("rotate", NAME, "--dir", str(folder))

    assert (folder / "jwt_secret").stat().st_mode & 0o777 == 0o640
    assert {path.name for path in folder.iterdir()} == files


def test_rotate_finds_file_by_its_setting(folder):
    path = folder / "jwt_secret"

    assert run("rotate", NAME, JWT_SECRET_FILE=str(path)).exit_code == 0

    assert len(ids(folder)) == 2


def test_rotate_prints_new_value_of_variable(folder):
    text = generate_keys("k1")[NAME]

    done = run("rotate", NAME, JWT_SECRET=text)

    line = next(one for one in done.stdout.splitlines() if one.startswith("JWT_SECRET='"))
    value = line.removeprefix("JWT_SECRET='").removesuffix("'")
    assert next(iter(Keys.parse(value).by_id)) == "k1"
    assert len(Keys.parse(value).by_id) == 2
    output = json.loads(run("rotate", NAME, "--json", JWT_SECRET=text).stdout)
    assert output["step"] == "announced"
    assert output["key"] in Keys.parse(output["value"]).by_id


def test_plain_value_becomes_the_default_key(tmp_path):
    plain = "an owner typed this at 40 characters 7%Q"
    (tmp_path / "pepper").write_text(plain)

    assert run("rotate", "PEPPER", "--dir", str(tmp_path)).exit_code == 0

    by_id = Keys.parse((tmp_path / "pepper").read_text()).by_id
    assert by_id["default"] == plain.encode()
    assert len(by_id) == 2


def test_key_file_rotation_prints_no_key(folder):
    done = run("rotate", NAME, "--dir", str(folder))

    assert not any(
        part.partition(":")[2] in done.output
        for part in (folder / "jwt_secret").read_text().split()
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [(None, "cannot read"), ("", "JWT_SECRET: "), ("rubbish", "at least 32 bytes")],
)
def test_invalid_key_set_is_rejected_and_unchanged(tmp_path, text, expected):
    path = tmp_path / "jwt_secret"
    if text is not None:
        path.write_text(text)

    done = run("rotate", NAME, "--dir", str(tmp_path))

    assert (done.exit_code, expected in done.output) == (1, True)
    assert "Traceback" not in done.output
    assert (path.read_text() if path.exists() else None) == text


def test_missing_target_prints_the_needed_option(monkeypatch):
    monkeypatch.delenv(NAME, raising=False)

    done = run("rotate", NAME)

    assert done.exit_code == 1
    assert "--dir" in done.output


def test_used_or_missing_key_cannot_be_retired():
    known = WrittenKeyring(NAME, {"a": b"1", "b": b"2"})

    with pytest.raises(WrongRotationStep):
        known.without("a")
    with pytest.raises(KeyNotFound):
        known.without("c")
    assert [*known.without("b").by_id] == ["a"]


def test_old_form_key_id_is_never_newest():
    for old in ("dev", "default", "k1", "20261125ab12"):
        assert WrittenKeyring(NAME, {old: b"1", new_id(MORNING): b"2"}).announced is not None
        assert WrittenKeyring(NAME, {new_id(MORNING): b"1", old: b"2"}).announced is None
    assert WrittenKeyring(NAME, {new_id(LATER): b"1", new_id(MORNING): b"2"}).announced is None


def test_newest_key_survives_a_clock_set_back():
    known = WrittenKeyring(NAME, {new_id(LATER): b"1"})

    announced = known.with_new(MORNING)

    assert announced.announced == [*announced.by_id][1]
    assert (
        WrittenKeyring(NAME, {"99999999999999-abcd": b"1"}).with_new(MORNING).announced is not None
    )


def test_only_one_of_parallel_key_rotations_succeeds(folder):
    location, reported = KeyringLocation(NAME, folder / "jwt_secret"), []

    def announce():
        with location.locked():
            try:
                location.write(location.read().with_new(LATER))
                reported.append("announced")
            except WrongRotationStep:
                reported.append("refused")

    threads = [threading.Thread(target=announce) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(reported) == ["announced"] + ["refused"] * 5
    assert len(ids(folder)) == 2


def test_generate_writes_complete_private_env_file(tmp_path):
    path = tmp_path / ".env"

    assert run("generate", "--env-file", str(path)).exit_code == 0

    assert path.stat().st_mode & 0o777 == 0o600
    assert {line.partition("=")[0] for line in path.read_text().splitlines()} == {
        *KEY_SETS,
        "CHECKPOINT_KEY",
    }
    drawn = path.read_text()
    again = run("generate", "--env-file", str(path))
    assert (again.exit_code, path.read_text()) == (1, drawn)
    assert not any(line.split("'")[1] in again.output for line in drawn.splitlines())
    assert run("generate", "--env-file", "a", "--dir", "b").exit_code == 2


def test_world_readable_key_file_is_reported(tmp_path):
    script = "from vaultr.ops.keys.commands import keys; keys(['generate'])"
    for mode, warned in ((0o644, True), (0o600, False)):
        path = tmp_path / f"{mode:o}"
        path.touch()
        path.chmod(mode)
        with path.open("w") as out:
            text = _stderr_of(script, out)
        assert ("chmod 600" in text) == warned


def _stderr_of(script, out):
    return subprocess.run(
        [sys.executable, "-c", script], stdout=out, stderr=subprocess.PIPE, text=True,
        env={"PATH": os.environ["PATH"]},
    ).stderr  # fmt: skip
