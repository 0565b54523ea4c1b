"""Brace expansion follows bash; misspelt words get suggestions; wildcards are recognised."""

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import did_you_mean
from reconciler.patterns import is_glob
from reconciler.state.braces import MAX_NAMES, expand_braces

PATTERNS = [
    "a{1..3}",
    "{b,c}{1..2}",
    "x{01..03}y",
    "{3..1}",
    "a{b,{c,d}e}f",
    "plain",
    "{1..9..4}",
    "a{b",
    "{}",
    "{one}",
    "a}b{1,2}",
    "{-1..1}",
    "{8..11..2}{x,y}",
    "{a..c}",
    "{,x}",
]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_braces_expand_as_bash_expands_them(pattern: str) -> None:
    shell = subprocess.run(["bash", "-c", f"printf '%s\\n' {pattern}"], capture_output=True, text=True, check=True)
    assert expand_braces(pattern) == shell.stdout.splitlines()


@given(st.text(alphabet="abc{},.12", max_size=20))
def test_plain_text_around_braces_is_added_to_each_name(text: str) -> None:
    names = expand_braces(f"x{text}y")
    assert names
    assert expand_braces(f"a/x{text}y/b") == [f"a/{name}/b" for name in names]


@given(st.text(alphabet="ab:/_.\\$* ", max_size=20))
def test_a_name_without_braces_is_returned_unchanged(text: str) -> None:
    assert expand_braces(text) == [text]


def test_an_expansion_to_exactly_the_limit_is_allowed() -> None:
    assert len(expand_braces("{1..100}{1..100}")) == MAX_NAMES == 10_000


@pytest.mark.parametrize("pattern", ["{1..10001}", "{1..1000000}", "{1..200}{1..200}", "{a,b}{1..5001}"])
def test_an_expansion_beyond_the_limit_is_an_error(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"expands to more than 10,000 names"):
        expand_braces(pattern)


def test_braces_that_nest_too_deeply_are_an_error() -> None:
    with pytest.raises(ValueError, match="nests braces too deeply"):
        expand_braces("{a," * 5000 + "}" * 5000)


def test_a_close_word_is_suggested_and_a_distant_one_is_not() -> None:
    assert did_you_mean("chian", ["chain", "raw"]) == '; did you mean "chain"?'
    assert did_you_mean("zzz", ["chain", "raw"]) == ""


@pytest.mark.parametrize("pattern", ["raw/*", "raw/al?", "raw/[ab]"])
def test_a_name_with_a_wildcard_is_a_glob(pattern: str) -> None:
    assert is_glob(pattern)


def test_a_name_without_a_wildcard_is_not_a_glob() -> None:
    assert not is_glob("raw/all{1..2}")
