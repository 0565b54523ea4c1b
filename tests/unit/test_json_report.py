"""The report of a plan as JSON, of fake kinds."""

from __future__ import annotations

import copy

import jsonschema
from fakes import FakeKind, FakeSpec, GivenKind, Thing, make_plan, make_state

from reconciler import __version__
from reconciler.engine.model import Comparison, Condition, DifferenceKind, Members, Observed
from reconciler.errors import ObserveError
from reconciler.report.json import MOST_MEMBERS, diff_schema, make_document, report_diff
from reconciler.report.summary import PlanSummary
from reconciler.systems.stats import Stats


def test_a_state_in_sync_is_reported_with_how_its_members_were_compared() -> None:
    kind = GivenKind()
    spec = FakeSpec()
    listed = Members("tags", 2, 2)
    kind.given = {"a": Observed(spec, (Members.counted("raws", 12), listed))}
    state = make_state({"box.a": spec}, kind, digest="abc")
    assert report_diff(make_plan(state), "/repo", None, 1.23456).model_dump(mode="json") == {
        "program": f"reconcile {__version__}",
        "state": "/states/fake.toml",
        "name": "fake",
        "digest": "abc",
        "butler": "/repo",
        "rucio": None,
        "in_sync": True,
        "seconds": 1.235,
        "by_count": 1,
        "stats": None,
        "summary": {
            **dict.fromkeys(PlanSummary.model_fields, 0),
            "resources": 1,
            "in_sync": 1,
            "by_count": 1,
        },
        "resources": [
            {
                "address": "box.a",
                "kind": "box",
                "name": "a",
                "line": 10,
                "in_sync": True,
                "error": None,
                "differences": [],
                "compared": [
                    {"field": "raws", "desired": 12, "present": 12, "compared": "count"},
                    {"field": "tags", "desired": 2, "present": 2, "compared": "members"},
                ],
                "unobserved": [],
                "actions": [],
            }
        ],
    }


def test_an_absent_resource_and_a_missing_member_are_reported_with_their_actions() -> None:
    kind = FakeKind()
    kind.things = {"b": Thing(value=1, members={"x"})}
    tables = {"box.a": FakeSpec(value=5), "box.b": FakeSpec(value=2, members=("y", "z"))}
    made = report_diff(make_plan(make_state(tables, kind), prune=True), None, "https://rucio", 0.0).model_dump(mode="json")
    first, second = made["resources"]
    assert (made["in_sync"], made["rucio"]) == (False, "https://rucio")
    assert first["differences"] == [
        {"kind": "make", "field": None, "observed": None, "desired": None, "detail": "", "count": 0, "members": []}
    ]
    no_cost = {"datasets": 0, "files": 0, "bytes": 0, "removes": 0}
    assert first["actions"] == [{"verb": "make", "reason": "make it", **no_cost}]
    assert first["compared"] == []
    assert (second["line"], second["in_sync"]) == (20, False)
    assert second["compared"] == [{"field": "members", "desired": 2, "present": 0, "compared": "members"}]
    assert second["differences"] == [
        {"kind": "change", "field": "value", "observed": 1, "desired": 2, "detail": "", "count": 0, "members": []},
        {
            "kind": "make", "field": "members", "observed": 0, "desired": 2, "detail": "missing", "count": 2,
            "members": [{"id": "y"}, {"id": "z"}],
        },
        {
            "kind": "remove", "field": "members", "observed": None, "desired": None, "detail": "unwanted", "count": 1,
            "members": [{"id": "x"}],
        },
    ]  # fmt: skip
    assert second["actions"] == [
        {"verb": "set", "reason": "set 2", **no_cost},
        {"verb": "add", "reason": "add 2", "datasets": 2, "files": 2, "bytes": 20, "removes": 0},
        {"verb": "remove", "reason": "remove 1", "datasets": 0, "files": 0, "bytes": 0, "removes": 1},
    ]


def test_a_condition_without_a_field_concerns_the_whole_resource() -> None:
    kind = GivenKind()
    spec = FakeSpec()
    kind.given = {"a": Observed(spec, conditions=(Condition(DifferenceKind.WAITING, "for files"),))}
    (resource,) = report_diff(make_plan(make_state({"box.a": spec}, kind)), None, None, 0.0).resources
    (difference,) = resource.differences
    assert (difference.kind, difference.field, difference.detail) == (DifferenceKind.WAITING, None, "for files")


def test_what_could_not_be_observed_is_not_in_sync_and_has_its_error() -> None:
    kind = FakeKind()
    kind.unobservable["a"] = ObserveError("the server is down")
    made = report_diff(make_plan(make_state({"box.a": FakeSpec()}, kind)), None, None, 0.0)
    assert made.model_dump(mode="json")["resources"] == [
        {
            "address": "box.a", "kind": "box", "name": "a", "line": 10, "in_sync": False, "error": "the server is down",
            "differences": [], "compared": [], "unobserved": [], "actions": [],
        }
    ]  # fmt: skip
    assert not made.in_sync


def test_a_resource_whose_line_is_not_known_is_on_line_1() -> None:
    state = make_state({"box.a": FakeSpec()}, lines={})
    assert report_diff(make_plan(state), None, None, 0.0).resources[0].line == 1


def test_only_the_first_members_are_listed_but_all_are_counted() -> None:
    kind = GivenKind()
    spec = FakeSpec()
    missing = tuple({"id": number} for number in range(MOST_MEMBERS + 1))
    kind.given = {"a": Observed(spec, (Members("raws", len(missing), 0, missing),))}
    (difference,) = report_diff(make_plan(make_state({"box.a": spec}, kind)), None, None, 0.0).resources[0].differences
    assert difference.count == MOST_MEMBERS + 1
    assert difference.members == [{"id": number} for number in range(MOST_MEMBERS)]


def test_statistics_are_reported_if_they_were_asked_for() -> None:
    stats = Stats(seconds={"butler": 0.5}, statements=7, calls=3)
    made = report_diff(make_plan(make_state({"box.a": FakeSpec()})), None, None, 0.0, stats)
    assert made.stats is not None
    assert made.stats.model_dump() == {"statements": 7, "calls": 3, "seconds": {"butler": 0.5}}


def test_a_report_keeps_to_the_schema() -> None:
    kind = FakeKind()
    kind.things = {"b": Thing(value=1, members={"x"})}
    kind.unobservable["c"] = ObserveError("the server is down")
    tables = {"box.a": FakeSpec(), "box.b": FakeSpec(value=2, members=("y",)), "box.c": FakeSpec()}
    made = report_diff(make_plan(make_state(tables, kind)), "/repo", "https://rucio", 1.0, Stats())
    schema = diff_schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    document = make_document([made]).model_dump(mode="json")
    validator.validate(document)
    broken = copy.deepcopy(document)
    broken["states"][0]["resources"][0]["address"] = None
    assert not validator.is_valid(broken)


def test_the_schema_lists_the_ways_to_compare() -> None:
    assert diff_schema()["$defs"]["Comparison"]["enum"] == [comparison.value for comparison in Comparison]
