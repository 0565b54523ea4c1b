"""Every key of a file is found at its line."""

import tomli
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from reconciler.state.line_numbers import line_of, locate

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


def test_tables_keys_and_elements_are_found() -> None:
    lines = locate(TEXT)
    assert lines["top",] == 2
    assert lines["chain", "LSSTComCam/calib"] == 4
    assert lines["chain", "LSSTComCam/calib", "children", 1] == 7
    assert lines["chain", "LSSTComCam/calib", "after"] == 13
    assert lines["rules", 1, "copies", "deep", 1, "deeper"] == 18
    assert lines["rules", 1, "dotted", "k e y", "x"] == 19
    assert ("not", "a", "table") not in lines
    assert line_of(lines, ("chain", "LSSTComCam/calib", "nothing")) == 4
    assert line_of(lines, ("elsewhere",)) is None


KEYS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1, max_size=8)
VALUES = st.recursive(
    st.integers(-9, 9) | st.booleans() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(KEYS, VALUES, max_size=4))
def test_the_keys_found_are_those_that_the_parser_reads(document: dict[str, object]) -> None:
    text = tomli_w.dumps(document)
    lines = locate(text)

    def walk(value: object, path: tuple[str | int, ...]) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                assert line_of(lines, (*path, key)) is not None
                walk(inner, (*path, key))

    walk(tomli.loads(text), ())
    for path, line in lines.items():
        assert 1 <= line <= text.count("\n") + 1, path
