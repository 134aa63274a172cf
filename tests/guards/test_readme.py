"""The commands and paths in the README exist."""

import re
import subprocess

from tests.guards import source_tree

TARGETS = {
    "help", "run", "test", "test-long", "check", "check-rollout",
    "ci", "bench", "release", "tools", "secrets", "lock", "clean", "wheel",
}  # fmt: skip


def test_readme_starts_with_run_and_test_commands():
    block = re.search(r"```\w*\n(.*?)```", (source_tree.ROOT / "README.md").read_text(), re.DOTALL)

    assert block[1].split("\n") == ["make run", "make test", ""]


def test_make_help_lists_every_target():
    listed = subprocess.run(
        ["make", "--no-print-directory", "help"],
        cwd=source_tree.ROOT,
        capture_output=True,
        text=True,
    )

    assert {line.split()[0] for line in listed.stdout.splitlines()} == TARGETS


def test_make_ci_runs_everything_that_must_pass():
    text = (source_tree.ROOT / "Makefile").read_text()
    parts = re.search(r"(?m)^ci: (.*?) ##", text)[1].split()
    checks = re.search(r"(?m)^check: (.*?) ##", text)[1].split()

    assert parts == ["test", "check", "check-rollout"]
    assert {"lint", "format", "types", "layers", "security", "guards"} <= {*checks}


def test_files_in_the_readme_exist():
    text = (source_tree.ROOT / "README.md").read_text()
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text)

    assert [target for target in targets if not (source_tree.ROOT / target).exists()] == []


def test_decisions_are_numbered_and_have_all_sections():
    decisions = sorted((source_tree.ROOT / "docs" / "adr").glob("[0-9]*.md"))
    parts = ["## Status", "## Context", "## Decision", "## Consequences"]

    assert [int(path.name[:4]) for path in decisions] == list(range(1, len(decisions) + 1))
    assert {
        path.name: found
        for path in decisions
        if (found := re.findall(r"^## .*$", path.read_text(), re.MULTILINE)) != parts
    } == {}
