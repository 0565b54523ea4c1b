"""Any text becomes printable, and can be recovered from what bash or JSON makes of it."""

from __future__ import annotations

import json
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.printable import escape, escape_json, quote

ANY = st.text(st.characters(exclude_categories=["Cs"]))
HOSTILE = [
    "x\ntouch pwned\n#",
    "\x1b[2J\x1b]0;t\x07",
    "a\u202eb\u2066",
    "\x9b31m",
    "\u2028",
    "'$(id)`id`\\'",
    "\x7f",
    "\U000e0001",
]


@given(ANY)
def test_an_escaped_text_is_printable_and_escaping_it_again_changes_nothing(text: str) -> None:
    shown = escape(text)
    assert not any(sign in shown for sign in map(chr, [*range(32), *range(127, 160), 0x200F, 0x202E, 0x2028, 0x2029, 0x2066]))
    assert escape(shown) == shown


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_characters_are_shown_by_their_numbers(text: str) -> None:
    assert escape(text).isprintable()


def test_printable_text_of_any_language_stays_as_it_is() -> None:
    assert escape("Überlänge × 2 … 望遠鏡 \\n [/red]") == "Überlänge × 2 … 望遠鏡 \\n [/red]"


@given(st.recursive(ANY, lambda inner: st.lists(inner) | st.dictionaries(ANY, inner), max_leaves=8))
def test_an_escaped_json_document_has_the_same_content_and_no_control_character_but_newline(value: object) -> None:
    document = escape_json(json.dumps(value, indent=2, ensure_ascii=False))
    assert json.loads(document) == value
    assert all(escape(line) == line for line in document.split("\n"))


@settings(max_examples=50)
@given(st.lists(ANY.filter(lambda text: "\0" not in text) | st.sampled_from(HOSTILE), min_size=1))
def test_bash_reads_quoted_words_as_they_were(words: list[str]) -> None:
    line = " ".join(map(quote, words))
    assert escape(line) == line
    done = subprocess.run(["bash", "-c", f"printf '%s\\0' {line}"], capture_output=True, check=True)
    assert done.stdout.decode().split("\0")[:-1] == words


@pytest.mark.parametrize(
    ("word", "quoted"),
    [
        ("a", "a"),
        ("a b", "'a b'"),
        ("f(['a'])", """"f(['a'])\""""),
        ("f('$HOME')", """'f('"'"'$HOME'"'"')'"""),
        ("it's!", """'it'"'"'s!'"""),
    ],
)
def test_a_word_with_single_quotes_is_in_double_quotes_if_bash_replaces_nothing_in_it(word: str, quoted: str) -> None:
    assert quote(word) == quoted


def test_a_file_name_that_is_not_utf8_keeps_its_bytes() -> None:
    done = subprocess.run(["bash", "-c", "printf %s " + quote("a\udcff")], capture_output=True, check=True)
    assert done.stdout == b"a\xff"


def test_a_word_that_no_command_can_have_is_refused() -> None:
    with pytest.raises(ValueError, match="null byte"):
        quote("a\0b")
