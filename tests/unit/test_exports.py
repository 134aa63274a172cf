"""Exports are read back exactly: by real shells, by YAML and JSON parsers, and by our import."""

import base64
import json
import os
import random
import shutil
import subprocess

import dotenv as other_reader
import pytest
import yaml

from vaultr.client.exports import shell_quoting
from vaultr.client.exports.formats import FORMATS, KubernetesName, NotExpressible, written
from vaultr.client.imports import dotenv as our_reader

# bash and sh are everywhere; the others are tested if installed.
SHELLS = [each for each in ("sh", "bash", "dash", "zsh", "ksh", "busybox") if shutil.which(each)]
NASTY = [
    "", " ", "a", "a b", " lead", "trail ", "\t", "\n", "\n\n", "a\n", "\na", "a\nb\n", "\r",
    "a\r\nb", "\r\n", "'", "''", '"', '""', "it's", "it's \"both\"", "'\\''", "\\", "\\\\", "\\n",
    "a\\", "\\'", "$HOME", "${HOME}", "$(id)", "`id`", "$'x'", "$", "$$", "!", "!!", "it's $HOME",
    "it's !x", "#", "a #b", "#a", "=", "a=b", "export A=1", "%s%n", "~", "~root", "*", "?", "[a]",
    "{a,b}",
    ";", "&", "|", "<", ">", "(", ")", "&&true", "\x01", "\x1b[31m", "\x7f", "\x80", "\x85", "\xa0",
    "ü", "日本語", "🙂", "e\u0301", "\u2028", "\u200b", "\ufeff", "\ufffe", "\U0010ffff",
    "true", "no", "null", "~null", "1", "0x10", "1e3", "012", "2026-01-01", "-", "--", "-n", "- a",
    ": ", "a: b", "a:b", ", ", "{}", "[]", "@a", "%a", "|", ">-", "&a", "*a", "!a", "? a", "<<",
    "postgresql://app:Xq7%40@db.internal:5432/shop?sslmode=require&x=y", "x" * 5000,
]  # fmt: skip
LETTERS = "ab \t\n\r'\"\\$`!#=;&|<>(){}[]*?~^%@:,./-_\x01\x1b\x7f\x80ü日🙂\u2028"


def variables(seed=7, some=300):
    draw = random.Random(seed)
    drawn = ["".join(draw.choices(LETTERS, k=draw.randint(0, 12))) for _ in range(some)]
    return {f"V{number}": value for number, value in enumerate([*NASTY, *drawn])}


def plain(form, values):
    return written(form, values, KubernetesName())


# Prints the value of each variable, followed by NUL.
PROGRAM = """f=$1; shift; . "$f"; for n in "$@"; do eval "printf '%s\\0' \\"\\$$n\\""; done"""


@pytest.fixture
def read_by(tmp_path):
    def read(shell, text, names, locale):
        file = tmp_path / "exported"
        file.write_bytes(text.encode())
        words = [shell, *(["sh"] if shell == "busybox" else []), "-c", PROGRAM, "x", str(file)]
        environ = {**os.environ, "LC_ALL": locale}
        done = subprocess.run([*words, *names], capture_output=True, timeout=60, env=environ)
        assert (done.returncode, done.stderr) == (0, b"")
        return dict(zip(names, done.stdout.decode().split("\0")[:-1], strict=True))

    return read


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("form", ["dotenv", "shell"])
@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_shells_read_every_value_exactly(read_by, form, shell, locale):
    values = variables()

    assert read_by(shell, plain(form, values), list(values), locale) == values


@pytest.mark.parametrize("seed", range(3))
def test_own_import_reads_every_exported_dotenv_value(seed):
    values = variables(seed, some=1000)

    [draft] = our_reader.read(plain("dotenv", values).encode(), title="x")

    assert draft.detail["variables"] == values


def test_python_dotenv_reads_portable_values_exactly(tmp_path):
    values = {
        name: value
        for name, value in variables().items()
        if not set("\\$\r") & set(value) and not ("'" in value and set('"`') & set(value))
    }
    file = tmp_path / ".env"
    file.write_text(plain("dotenv", values), newline="")

    assert len(values) > 100
    assert dict(other_reader.dotenv_values(file)) == values


def test_shell_format_exports_variables_to_programs(tmp_path):
    values = {"A": "it's", "B": "x\ny"}
    program = f"{plain('shell', values)}exec env -0"

    done = subprocess.run(["sh", "-c", program], capture_output=True, check=True)

    found = dict(line.split("=", 1) for line in done.stdout.decode().split("\0") if line)
    assert {name: found[name] for name in values} == values


@pytest.mark.parametrize("loader", [yaml.SafeLoader, yaml.BaseLoader])
def test_yaml_parser_reads_every_exported_value(loader):
    values = variables() | {"yes": "1", "NO": "2", "null": "3", "On": "4", "y": "5", "E1": "6"}

    assert yaml.load(plain("yaml", values), loader) == values


def test_json_parser_reads_every_exported_value():
    assert json.loads(plain("json", variables())) == variables()


def test_kubernetes_secret_contains_every_value():
    values = variables() | {"NO": ""}

    text = written("kubernetes", values, KubernetesName("shop.db-1", "team-a"))

    document = yaml.safe_load(text)
    decoded = {n: base64.b64decode(v, validate=True).decode() for n, v in document["data"].items()}
    assert decoded == values
    assert document["metadata"] == {"name": "shop.db-1", "namespace": "team-a"}
    assert (document["apiVersion"], document["kind"], document["type"]) == (
        "v1",
        "Secret",
        "Opaque",
    )


def test_docker_env_file_has_single_line_values():
    values = {n: v for n, v in variables().items() if "\n" not in v and not v.endswith("\r")}

    text = plain("docker", values)

    # Like opts/file.go of docker: lines, without white space before the name; the rest unchanged.
    lines = text.removesuffix("\n").split("\n")
    assert dict(line.lstrip("\t ").split("=", 1) for line in lines) == values


@pytest.mark.parametrize("value", ["a\nb", "\n", "a\r", "x" * 65536])
def test_docker_export_rejects_invalid_value_by_name(value):
    with pytest.raises(NotExpressible, match="SECRET") as rejected:
        plain("docker", {"GOOD": "1", "SECRET": value})

    assert value not in str(rejected.value)


@pytest.mark.parametrize(
    "name", [None, "", "Prod", "a_b", "-a", "a-", "a..b", "a" * 254, "ü", "a\nb", "x/y"]
)
def test_invalid_kubernetes_name_is_rejected(name):
    with pytest.raises(NotExpressible, match="--name"):
        written("kubernetes", {"A": "1"}, KubernetesName(name))


@pytest.mark.parametrize("namespace", ["", "a.b", "A", "-", "a" * 64])
def test_invalid_kubernetes_namespace_is_rejected(namespace):
    with pytest.raises(NotExpressible, match="namespace"):
        written("kubernetes", {"A": "1"}, KubernetesName("x", namespace))


def test_oversized_kubernetes_secret_is_rejected():
    with pytest.raises(NotExpressible, match="1024 KiB"):
        written("kubernetes", {f"A{n}": "x" * 60_000 for n in range(20)}, KubernetesName("x"))
    with pytest.raises(NotExpressible, match="longer than a name may be"):
        written("kubernetes", {"A" * 254: ""}, KubernetesName("x"))


def test_empty_export_is_valid_in_every_format():
    found = {form: written(form, {}, KubernetesName("x")) for form in FORMATS}

    assert yaml.safe_load(found["yaml"]) == {} == json.loads(found["json"])
    assert yaml.safe_load(found["kubernetes"])["data"] == {}
    assert found["dotenv"] == found["shell"] == found["docker"] == ""


def test_plain_values_stay_readable():
    assert shell_quoting.dotenv("postgresql://app@db:5432/shop") == "postgresql://app@db:5432/shop"
    assert shell_quoting.dotenv("it's") == '"it\'s"'
    assert shell_quoting.dotenv("a b") == "'a b'"
