"""Each kind of schema error has a message that names the key, what is wrong, and what was probably meant."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from reconciler.state.schema import VARIABLE, state_schema
from reconciler.state.schema_errors import SchemaProblem, explain

TEXT_OR_LIST = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
TABLES = {"anyOf": [{"type": "array", "items": {"type": "object", "properties": {"n": {"type": "integer"}}}}, {"type": "null"}]}


def explain_all(schema: Any, value: Any) -> list[SchemaProblem]:
    return [problem for error in Draft202012Validator(schema).iter_errors(value) for problem in explain(error)]


def explain_key(schema: Any, value: Any) -> list[str]:
    """Explain a table whose one key has the value, and check that each problem is at that key."""
    problems = explain_all({"type": "object", "properties": {"k": schema}}, {"k": value})
    assert all(problem.path[0] == "k" for problem in problems)
    return [problem.text for problem in problems]


@pytest.mark.parametrize(
    ("schema", "value", "message"),
    [
        ({"type": "string"}, 3, "3 is not a string"),
        ({"type": "integer"}, True, "true is not an integer"),
        ({"type": "number"}, "x", '"x" is not a number'),
        ({"type": "boolean"}, [], "a list is not true or false"),
        ({"type": "array"}, {}, "a table is not a list"),
        ({"type": ["string", "integer"]}, 1.5, "1.5 is not a string or an integer"),
        ({"enum": ["RUN", "TAGGED"]}, "TAGED", '"TAGED" is not one of "RUN", "TAGGED"; did you mean "TAGGED"?'),
        ({"enum": ["RUN", "TAGGED"]}, "zzz", '"zzz" is not one of "RUN", "TAGGED"'),
        ({"const": 1}, 2, "2 is not supported; the only supported value is 1"),
        ({"minimum": 1}, 0, "0 is less than the minimum of 1"),
        ({"exclusiveMinimum": 0}, 0, "0 is not greater than 0"),
        ({"maximum": 5}, 6, "6 is more than the maximum of 5"),
        ({"anyOf": [{"type": "integer"}, VARIABLE]}, "x", '"x" is not an integer'),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "x", '"x" is not an integer'),
        (TEXT_OR_LIST, 3, "3 is not a string or a list"),
        (TEXT_OR_LIST, ["a", 3], "3 is not a string"),
        ({"anyOf": [{"enum": ["a"]}, {"enum": ["b"]}]}, "c", '"c" is not one of "a"'),
        ({"pattern": "^a$"}, "b", "'b' does not match '^a$'"),
    ],
)
def test_a_value_that_breaks_a_rule_is_explained(schema: Any, value: Any, message: str) -> None:
    assert explain_key(schema, value) == [message]


def test_the_alternative_whose_error_is_deepest_is_explained_at_its_place() -> None:
    problems = explain_all({"properties": {"k": TABLES}}, {"k": [{"n": 1}, {"n": "x"}]})
    assert problems == [SchemaProblem(("k", 1, "n"), '"x" is not an integer')]


def test_an_unknown_key_is_reported_with_the_closest_known_one() -> None:
    schema = {"properties": {"t": {"properties": {"children": {}}, "additionalProperties": False}}}
    problems = explain_all(schema, {"t": {"childern": 1, "children": 2, "zzz": 3}})
    assert problems == [
        SchemaProblem(("t",), 'unknown key "childern"; did you mean "children"?', "childern"),
        SchemaProblem(("t",), 'unknown key "zzz"', "zzz"),
    ]


def test_an_unknown_table_is_reported_at_its_own_path() -> None:
    problems = explain_all({"properties": {"chain": {}}, "additionalProperties": False}, {"chian": {}})
    assert problems == [SchemaProblem(("chian",), 'unknown table "chian"; did you mean "chain"?', "chian")]


def test_missing_keys_and_tables_are_named() -> None:
    schema = {"required": ["reconcile"], "properties": {"t": {"required": ["a", "b", "c"]}}}
    assert set(explain_all(schema, {"t": {"b": 1}})) == {
        SchemaProblem(("t",), 'needs the key "a"'),
        SchemaProblem(("t",), 'needs the key "c"'),
        SchemaProblem((), "needs a [reconcile] table"),
    }


def test_an_unusual_message_of_the_schema_library_is_cut() -> None:
    (text,) = explain_key({"pattern": "^a$"}, "b" * 1000)
    assert len(text) == 300


def test_a_variable_is_valid_wherever_a_number_or_a_boolean_is() -> None:
    document = {"reconcile": {"version": "${v}"}, "rucio": {"timeout": "${t}"}, "repository": {"uri": "r", "protect": "${p}"}}
    assert list(Draft202012Validator(state_schema()).iter_errors(document)) == []
    document["rucio"]["timeout"] = "t"
    assert explain_all(state_schema(), document) == [SchemaProblem(("rucio", "timeout"), '"t" is not a number')]


def test_a_schema_for_some_tables_allows_anything_in_the_other_kinds() -> None:
    schema = state_schema(frozenset({"reconcile", "chain"}))
    assert explain_all(schema, {"reconcile": {"version": 1}, "raw": 3}) == []
    assert [p.text for p in explain_all(schema, {"reconcile": {"version": 1}, "chain": 3})] == ["3 is not a table"]


def test_every_key_of_a_state_file_has_a_description() -> None:
    def keys(schema: Any, path: str) -> Any:
        for name, value in schema.get("properties", {}).items():
            yield f"{path}.{name}", value

    described = [pair for name, table in state_schema()["$defs"].items() for pair in keys(table, name)]
    assert len(described) > 50
    assert [name for name, value in described if not value.get("description")] == []


def test_a_value_that_fits_two_exclusive_alternatives_has_the_message_of_the_schema_library() -> None:
    schema = {"oneOf": [{"type": "integer"}, {"type": "number"}]}
    assert explain_key(schema, 3) == ["3 is valid under each of {'type': 'number'}, {'type': 'integer'}"]
