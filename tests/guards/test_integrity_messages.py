"""Messages about a hostile or damaged server are understandable without knowing the protocol."""

import ast
import importlib
import pkgutil
import re

import pytest

import vaultr.client
from tests.guards import source_tree
from vaultr.client.errors import IntegrityError

CLIENT = source_tree.ROOT / "vaultr" / "client"
PACKAGES = (
    *("account", "audit", "crypto", "exports", "items", "log", "reconciliation", "sdk"),
    *("storage", "transport", "vaults"),
)
# Protocol terms; messages say "changes", "keys" or "state" instead.
PROTOCOL_WORDS = re.compile(
    r"(?<![\w.])(heads?|forks?|vouch\w*|(re|un)?wraps?|wrapped|generations?|epochs?|MACs?|AAD|nonce|KDF"
    r"|pins?|pinned|checkpoints?|trees?|leaf|seal(s|ed|ing)?|ciphertext|waypoint)\b"
)
# Internal errors, which no server causes.
INTERNAL = {"ValueError", "AssertionError", "TypeError", "KeyError", "RuntimeError"}
NOT_LOST = re.compile(r"not changed|[Nn]othing was (changed|accepted|stored)|not affected")
WHAT_TO_DO = re.compile(
    r"--offline|sync --explain|ask (the server's|its) operator|[Aa]sk for the reason|VAULTR_URL"
    r"|do not type your password|vaultr \w+"
)
# Errors whose message contains both parts, because they depend on what happened.
SAID_IN_MESSAGE = {"FileAltered", "SignupWaits", "WrongServer"}


def integrity_errors():
    """Return all error classes about a server's responses."""
    for module in pkgutil.walk_packages(vaultr.client.__path__, "vaultr.client."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    found, left = set(), [IntegrityError]
    while left:
        found.add(kind := left.pop())
        left += kind.__subclasses__()
    return {kind for kind in found if kind.__module__.startswith("vaultr.")}


def texts(path):
    """Yield line and text of each string of several words that users may see."""
    tree = ast.parse(path.read_text())
    skipped = set()
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            skipped.add(id(body[0].value))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in INTERNAL:
            skipped |= {id(each) for each in ast.walk(node)}
    for node in ast.walk(tree):
        is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
        if is_text and id(node) not in skipped and len(node.value.split()) > 1:
            # "sealed export" is the output of `export --seal`.
            yield node.lineno, node.value.replace("sealed export", "")


@pytest.mark.parametrize("package", PACKAGES)
def test_message_uses_no_word_of_the_protocol(package):
    found = [
        f"{path.relative_to(CLIENT)}:{line}: {text}"
        for path in sorted((CLIENT / package).rglob("*.py"))
        for line, text in texts(path)
        if PROTOCOL_WORDS.search(text) and not text.startswith("<")  # a page
    ]

    assert found == []


def test_integrity_error_states_consequences_and_next_step():
    silent = {
        kind.__name__: kind.advice
        for kind in integrity_errors()
        if not (NOT_LOST.search(kind.advice) and WHAT_TO_DO.search(kind.advice))
    }

    assert silent.keys() == SAID_IN_MESSAGE, silent
