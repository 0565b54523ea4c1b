"""Each key of a TOML file has the line at which it is defined."""

import tomli
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from reconciler.state.line_numbers import find_line, find_lines

TEXT = """\
# a comment with [brackets] and "quotes"
top = 1

[chain."LSSTComCam/calib"]
children = [
    "a",   # one ]
    "b",
]
note = \"\"\"
[not.a.table]
key = 1
\"\"\"
after = 'x'

[[rules]]
copies = 2
[[rules]]
copies = { deep = [1, { deeper = 2 }] }
dotted."k e y".x = 1
"""


def test_tables_keys_and_array_elements_have_their_lines() -> None:
    lines = find_lines(TEXT)
    assert lines["top",] == 2
    assert lines["chain", "LSSTComCam/calib"] == 4
    assert lines["chain", "LSSTComCam/calib", "children", 1] == 7
    assert lines["chain", "LSSTComCam/calib", "after"] == 13
    assert lines["rules", 1, "copies", "deep", 1, "deeper"] == 18
    assert lines["rules", 1, "dotted", "k e y", "x"] == 19
    assert ("not", "a", "table") not in lines
    assert find_line(lines, ("chain", "LSSTComCam/calib", "nothing")) == 4
    assert find_line(lines, ("elsewhere",)) is None


KEYS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1, max_size=8)
VALUES = st.recursive(
    st.integers(-9, 9) | st.booleans() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(KEYS, VALUES, max_size=4))
def test_every_key_that_the_parser_reads_has_a_line(document: dict[str, object]) -> None:
    text = tomli_w.dumps(document)
    lines = find_lines(text)

    def walk(value: object, path: tuple[str | int, ...]) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                assert find_line(lines, (*path, key)) is not None
                walk(inner, (*path, key))

    walk(tomli.loads(text), ())
    for path, line in lines.items():
        assert 1 <= line <= text.count("\n") + 1, path


def test_nested_arrays_of_tables_are_counted_from_the_start_in_each_element() -> None:
    lines = find_lines("[[a]]\n[[a.b]]\nx = 1\n[[a.b]]\nx = 2\n[[a]]\n[[a.b]]\nx = 3\n[a.c]\ny = 4\n")
    assert lines["a", 0, "b", 0, "x"] == 3
    assert lines["a", 0, "b", 1, "x"] == 5
    assert lines["a", 1, "b", 0, "x"] == 8
    assert lines["a", 1, "c", "y"] == 10
    assert ("a", 1, "b", 1) not in lines


def test_quoted_keys_are_unquoted_as_the_parser_does() -> None:
    text = '"a\\tb" = 1\n\'c\\d\' = 2\n"\\u00e9" = 3\n"\\U0001F600" = 4\n"q\\"" = 5\n'
    assert {path[0]: line for path, line in find_lines(text).items()} == tomli.loads(text)


def test_values_with_spaces_brackets_and_quotes_do_not_hide_later_keys() -> None:
    text = "a = 2024-11-08 01:02:03\nb = \"\"\"x ] \"\"\"\"\nc = { d = '}', e = [\n 1,\n] }\nf = '''\n[g]\n'''\nh = 1\n"
    lines = find_lines(text)
    assert {path[0] for path in lines} == set(tomli.loads(text))
    assert lines["c", "e", 0] == 4
    assert lines["h",] == 9


@given(st.text("[]{}=.,'\"a1 \n#", max_size=30))
def test_any_text_gives_lines_within_it_and_valid_toml_gives_a_line_for_every_table_and_key(text: str) -> None:
    lines = find_lines(text)
    assert all(1 <= line <= text.count("\n") + 1 for line in lines.values())
    try:
        document = tomli.loads(text)
    except tomli.TOMLDecodeError:
        return
    assert {path[0] for path in lines} == set(document)
