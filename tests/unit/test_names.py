"""Names expand as in a shell."""

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.state.braces import expand, is_glob, meant

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
]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_braces_expand_as_the_real_shell_expands_them(pattern: str) -> None:
    shell = subprocess.run(["bash", "-c", f"printf '%s\\n' {pattern}"], capture_output=True, text=True, check=True)
    assert expand(pattern) == shell.stdout.splitlines()


@given(st.text(alphabet="abc{},.12", max_size=20))
def test_expansion_never_hangs_and_always_gives_a_name(text: str) -> None:
    assert expand(text)


def test_a_huge_range_is_refused() -> None:
    with pytest.raises(ValueError, match="more than 10,000"):
        expand("{1..1000000}")
    with pytest.raises(ValueError, match="more than 10,000"):
        expand("{1..200}{1..200}")


def test_a_near_word_is_suggested_and_a_far_one_is_not() -> None:
    assert meant("chian", ["chain", "raw"]) == '; did you mean "chain"?'
    assert meant("zzz", ["chain", "raw"]) == ""


def test_wildcards_are_told() -> None:
    assert is_glob("raw/*")
    assert not is_glob("raw/all")
