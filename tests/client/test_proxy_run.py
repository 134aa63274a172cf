"""`vaultr run` and `export`: a set must not control how programs are loaded."""

import pytest

from vaultr.client.run.risky_names import is_risky

SHOW = ("--", "sh", "-c", "true")


@pytest.fixture
def with_sets(proxy):
    with proxy.opened() as laptop:
        for title, variables in {
            "evil": {"LD_PRELOAD": "/tmp/evil.so", "TOKEN": "t"},
            "plain": {"TOKEN": "t", "DATABASE_URL": "u"},
            "half": {"LOAD": "x"},
        }.items():
            laptop.add("env_set", {"title": title}, {"variables": variables})
    return proxy


def test_run_rejects_names_that_change_how_programs_load(with_sets):
    result = with_sets.types("run", "--env-set", "evil", *SHOW)

    assert result.code == 1
    assert "Nothing was run or written: LD_PRELOAD" in result.err
    assert "--allow LD_PRELOAD" in result.err


def test_run_rejects_a_risky_name_formed_by_prefix(with_sets):
    result = with_sets.types("run", "--env-set", "half", "--prefix", "LD_", *SHOW)

    assert result.code == 1
    assert "--allow LD_LOAD" in result.err


@pytest.mark.parametrize(
    "words",
    [
        ("export", "evil", "--format", "shell", "--allow", "LD_PRELOAD"),
        ("export", "evil", "--format", "shell", "--only", "TOKEN"),
        ("export", "plain", "--format", "shell"),
        ("export", "evil", "--format", "json"),
    ],
)
def test_export_writes_allowed_or_harmless_names(with_sets, words):
    result = with_sets.types(*words)

    assert result.code == 0, result.err
    assert "TOKEN" in result.out


def test_shell_export_rejects_risky_names(with_sets):
    result = with_sets.types("export", "evil", "--format", "shell")

    assert result.code == 1
    assert result.out == ""


@pytest.mark.parametrize(
    "name",
    [
        *("LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT", "DYLD_INSERT_LIBRARIES", "BASH_ENV", "ENV"),
        *("PYTHONPATH", "PYTHONSTARTUP", "NODE_OPTIONS", "PERL5OPT", "RUBYOPT", "PATH", "IFS"),
        *("JAVA_TOOL_OPTIONS", "GIT_SSH_COMMAND", "PROMPT_COMMAND", "BASH_FUNC_ls%%"),
        *("npm_config_script_shell", "GIT_CONFIG_KEY_0"),
    ],
)
def test_name_that_loads_or_runs_code_is_risky(name):
    assert is_risky(name)


@pytest.mark.parametrize("name", ["TOKEN", "DATABASE_URL", "CARGO_REGISTRY_TOKEN", "PATHS", "LDAP"])
def test_name_of_a_secret_is_not_risky(name):
    assert not is_risky(name)
