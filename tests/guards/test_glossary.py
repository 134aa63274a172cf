"""No name uses a word, and no text a phrase, that docs/glossary.md bans."""

import ast
import re
import tokenize
from functools import cache

import pytest

from tests.guards import source_tree

GLOSSARY = source_tree.ROOT / "docs" / "glossary.md"
MOST_WORDS = 10
# Tests may use the other banned words in names, since they test what has these names.
VAGUE_PARTICIPLES = {"told", "said", "given", "kept"}
# Names in tests say "rejected", "prompts", "email", "anonymous", "tampering" and so on instead.
OLD_WORDS = {
    *("anew", "asked", "beat", "beats", "door", "doors", "ever", "forever", "letter", "letters"),
    *("lie", "lies", "lying", "meanwhile", "nobody", "nobodys", "refusal", "refusals", "refuse"),
    *("refused", "refuses", "refusing", "stranger", "strangers", "tell", "tells", "told"),
    *("whatever", "whoever", "wish", "wishes"),
}
# The page that lists the banned phrases contains them.
EXEMPT_PAGES = {"docs/glossary.md"}
TEXT_SUFFIXES = {".md", ".txt", ".html", ".tpl", ".yaml", ".yml", ".example", ".conf", ".sql", ""}


def banned_words():
    """Return the words in bold in the last column of the glossary's tables."""
    rows = re.findall(r"^\|.*\|$", GLOSSARY.read_text(), re.MULTILINE)
    last = [row.rstrip("|").rsplit("|", 1)[1] for row in rows]
    return {word for cell in last for word in re.findall(r"\*\*(\w+)\*\*", cell)}


def banned_phrases():
    """Return the phrases left of the arrows in the glossary's last section, as patterns."""
    section = GLOSSARY.read_text().partition("## Phrases banned in texts")[2]
    left = [line.partition("→")[0] for line in section.splitlines() if line.startswith('- "')]
    phrases = [phrase for part in left for phrase in re.findall(r'"([^"]+)"', part)]
    words = [phrase.removesuffix("…").strip() for phrase in phrases]
    return re.compile(
        "|".join(rf"(?<![\w-]){re.escape(one)}(?!\w)" for one in words), re.IGNORECASE
    )


def names_of(path):
    """Yield the line and the name of the module, and of its classes, functions and arguments."""
    yield 1, path.stem
    for node in source_tree.nodes(path):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.lineno, node.name
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg


@cache
def comments_of(path):
    """Yield the comment tokens of a module."""
    with tokenize.open(path) as lines:
        for token in tokenize.generate_tokens(lines.readline):
            if token.type == tokenize.COMMENT:
                yield token


def words_of(name):
    return {part.lower() for part in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)}


def test_no_name_uses_a_banned_word():
    banned = banned_words()
    found = [
        f"{source_tree.shown(path)}:{line} {name}"
        for path in source_tree.modules()
        for line, name in names_of(path)
        if words_of(name) & banned
    ]

    assert len(banned) > 15
    assert found == []


def test_test_names_are_short_and_use_no_banned_word():
    banned = banned_words()
    found = [
        f"{source_tree.shown(path)}:{line} {name}"
        for path in source_tree.around()
        for line, name in names_of(path)
        if name.startswith("test_") and path.stem != name
        if len(name.split("_")) - 1 > MOST_WORDS or words_of(name) & banned
    ]

    assert found == []


def test_no_name_in_tests_uses_a_vague_participle():
    found = [
        f"{source_tree.shown(path)}:{line} {name}"
        for path in source_tree.around()
        for line, name in names_of(path)
        if not name.startswith("test_") and words_of(name) & VAGUE_PARTICIPLES
    ]

    assert found == []


def test_no_name_in_tests_uses_an_old_word():
    found = [
        f"{source_tree.shown(path)}:{line} {name}"
        for path in source_tree.around()
        for line, name in names_of(path)
        if words_of(name) & OLD_WORDS
    ]

    assert found == []


def test_no_comment_uses_a_banned_phrase():
    pattern = banned_phrases()
    found = [
        f"{source_tree.shown(path)}:{token.start[0]} {match[0]}"
        for path in source_tree.modules()
        for token in comments_of(path)
        for match in [pattern.search(token.string)]
        if match
    ]

    assert found == []


def test_no_text_uses_a_banned_phrase():
    pattern = banned_phrases()
    found = [
        f"{source_tree.shown(path)}:{number} {match[0]}"
        for path in source_tree.files()
        if is_text(path) and source_tree.shown(path) not in EXEMPT_PAGES
        for number, line in enumerate(path.read_text().splitlines(), 1)
        for match in [pattern.search(line)]
        if match
    ]

    assert found == []


def test_no_docstring_or_message_uses_a_banned_phrase():
    pattern = banned_phrases()
    found = [
        f"{source_tree.shown(path)}:{node.lineno} {match[0]}"
        for path in source_tree.modules()
        for node in source_tree.nodes(path)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        for match in [pattern.search(" ".join(node.value.split()))]
        if match
    ]

    assert found == []


@pytest.mark.parametrize("name", ["LetterBox", "send_letter", "hot", "SaidOnce"])
def test_banned_words_are_found_inside_names(name):
    assert words_of(name) & banned_words()


def test_banned_phrases_are_found_in_a_sentence():
    assert banned_phrases().search("It is kept for ever, as it was.")


def is_text(path):
    shown = source_tree.shown(path)
    if shown.startswith(
        ("tests/", "vaultr/client/items/words.txt", "requirements", "LICENSE", ".git")
    ):
        return False
    return path.suffix in TEXT_SUFFIXES
