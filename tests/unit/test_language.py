"""Text that users and maintainers read contains none of the words and phrases that the project has retired.

Checked are the README, the changelog and all other pages, the descriptions in the JSON Schemas, the help of every command, and
all string literals of the package: messages and docstrings. Names in backticks and strings of one word are identifiers, so they
are left out.
"""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from reconciler.cli import main

ROOT = Path(__file__).parents[2]
PHRASES = (
    "How it is told",
    "Where runs are told of",
    "Files beside the raws of each exposure that are none",
    "looked for are in the registry, not on storage or not as recorded",
    "nothing here says how to make it",
    "hold what is not wanted",
    "documented otherwise",
    "What an action takes that only the Science Pipelines have",
    "found by halving",
    "is not to be had in time",
    "what is wanted of it grows with what it needs",
)
WORDS = (
    "told",
    "tells?",
    "telling",
    "says?",
    "said",
    "looks?",
    "looked",
    "looking",
    "anew",
    "unwell",
    "mends?",
    "mended",
    "mending",
    "beside",
    "strangers?",
    "wanted",
    "(?<!there )(?:is|are) none",
    "(?:a|the|its|our|what \\|) reach",  # as a noun; "can't be reached" is fine
)
RETIRED = re.compile(rf"\b(?:{'|'.join(WORDS)})\b|{'|'.join(map(re.escape, PHRASES))}", re.IGNORECASE)
EMPTY_DESCRIPTION = re.compile(r"^ *(?:Whose|Which|What|Of what|How many)\.$", re.MULTILINE)
CODE = re.compile(r"`[^`\s]+`|^ *[\w*, ]+ : .*$", re.MULTILINE)
"""Names in backticks, and the name and type that begin a parameter's description."""
IDENTIFIER = re.compile(r"[\w./:*-]*")


def find_retired(text: str) -> list[str]:
    """Return the retired words and phrases in a text, each with some of the text around it."""
    text = CODE.sub("``", text)
    matches = [*RETIRED.finditer(text), *EMPTY_DESCRIPTION.finditer(text)]
    return [" ".join(text[max(0, match.start() - 30) : match.end() + 30].split()) for match in matches]


def string_literals(node: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield the line and the text of all string literals; an f-string is one text, with … for its values."""
    if isinstance(node, ast.JoinedStr):
        parts = [part.value if isinstance(part, ast.Constant) else "…" for part in node.values]
        yield node.lineno, "".join(map(str, parts))
        for part in node.values:
            if isinstance(part, ast.FormattedValue):
                yield from string_literals(part.value)
        return
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and not IDENTIFIER.fullmatch(node.value):
        yield node.lineno, node.value
    for child in ast.iter_child_nodes(node):
        yield from string_literals(child)


def schema_texts(node: Any) -> Iterator[str]:
    """Yield the titles and descriptions of a JSON Schema; a title of one word repeats a key."""
    if isinstance(node, dict):
        texts = (node.get(key) for key in ("title", "description"))
        yield from (text for text in texts if isinstance(text, str) and not IDENTIFIER.fullmatch(text))
        for child in node.values():
            yield from schema_texts(child)
    elif isinstance(node, list):
        for child in node:
            yield from schema_texts(child)


def commands(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    yield path, command
    for name, child in getattr(command, "commands", {}).items():
        yield from commands(child, f"{path} {name}")


DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def test_documents_have_no_retired_words() -> None:
    assert DOCUMENTS
    assert [f"{path}: {hit}" for path in DOCUMENTS for hit in find_retired(path.read_text())] == []


def test_schemas_have_no_retired_words() -> None:
    paths = sorted((ROOT / "schemas").glob("*.json"))
    assert paths
    texts = [(path.name, text) for path in paths for text in schema_texts(json.loads(path.read_text()))]
    assert [f"{name}: {hit}" for name, text in texts for hit in find_retired(text)] == []


def test_the_help_of_commands_has_no_retired_words() -> None:
    texts = {path: command.get_help(click.Context(command, info_name=path)) for path, command in commands(main, "reconcile")}
    assert texts
    assert [f"{path}: {hit}" for path, text in texts.items() for hit in find_retired(" ".join(text.split()))] == []


def test_messages_and_docstrings_have_no_retired_words() -> None:
    paths = sorted(path for path in (ROOT / "reconciler").rglob("*.py") if "observatory" not in path.parts)
    assert paths
    literals = [(path, line, text) for path in paths for line, text in string_literals(ast.parse(path.read_text()))]
    assert [f"{path}:{line}: {hit}" for path, line, text in literals for hit in find_retired(text)] == []


@pytest.mark.parametrize(
    "text",
    [
        *PHRASES,
        "Tell of every resource",
        "as the file says",
        "if a pair is none",
        "the chain is unwell",
        "apply mends it",
        "read it anew",
        "3 are not wanted",
        "out of its reach",
        "Parameters\n    name : `str`\n        Whose.",
    ],
)
def test_the_language_check_finds_retired_words(text: str) -> None:
    assert find_retired(text)


@pytest.mark.parametrize(
    "text",
    [
        "2 unwanted members",
        "could not be reached",
        "`wanted` is a key",
        "besides",
        "outlook",
        "if there is none",
        "none is left",
        "a foretold end",
    ],
)
def test_the_language_check_accepts_words_that_only_resemble_retired_ones(text: str) -> None:
    assert not find_retired(text)


def test_the_language_check_reads_f_strings_and_docstrings_and_skips_identifiers() -> None:
    source = 'def f():\n    """One look."""\n    return f"{x} is unwell", facts["wanted"], f"{y[\'not wanted\']}"\n'
    found = [hit for _, text in string_literals(ast.parse(source)) for hit in find_retired(text)]
    assert found == ["One look.", "… is unwell", "not wanted"]
