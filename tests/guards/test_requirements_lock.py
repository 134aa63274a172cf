"""The installed packages are exactly the locked ones."""

import configparser
import re

from tests.guards import source_tree

RUN = "requirements.txt"
TRACE = "requirements-otel.txt"
TEST = "requirements-test.txt"
DEVELOP = "requirements-dev.txt"


def test_every_requirement_is_locked():
    config = configparser.ConfigParser()
    config.read(source_tree.ROOT / "setup.cfg")
    extras = config["options.extras_require"]
    needed_to_run = _names(config["options"]["install_requires"], extras["server"])
    needed_to_trace = needed_to_run | _names(extras["otel"])
    needed_to_test = needed_to_trace | _names(extras["test"])
    needed_to_develop = needed_to_test | _names(extras["dev"])

    assert needed_to_run - set(_locked(RUN)) == set()
    assert needed_to_trace - set(_locked(TRACE)) == set()
    assert needed_to_test - set(_locked(TEST)) == set()
    assert needed_to_develop - set(_locked(DEVELOP)) == set()


def test_tests_use_the_locked_versions_of_the_server():
    running, tracing, testing = _locked(RUN), _locked(TRACE), _locked(TEST)
    developing = _locked(DEVELOP)

    assert {name: tracing.get(name) for name in running} == running
    assert {name: testing.get(name) for name in tracing} == tracing
    assert {name: developing.get(name) for name in testing} == testing


def test_server_lock_contains_no_tracing_package():
    assert [name for name in _locked(RUN) if name.startswith(("opentelemetry", "proto"))] == []


def test_every_locked_package_has_a_hash():
    for lock in (RUN, TRACE, TEST, DEVELOP):
        entries = re.split(r"\n(?=[a-z])", (source_tree.ROOT / lock).read_text())
        assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []


def _names(*lists):
    return {
        re.match(r"[\w.-]+", line)[0].lower().replace("_", "-")
        for lines in lists
        for line in lines.strip().splitlines()
    }


def _locked(lock):
    """Read ``{name: versions}``; a package may have one version for each Python."""
    locked = {}
    for name, version in re.findall(
        r"^([\w.-]+)==(\S+)", (source_tree.ROOT / lock).read_text(), re.M
    ):
        locked.setdefault(name, set()).add(version)
    return locked
