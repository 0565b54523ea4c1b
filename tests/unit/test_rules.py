"""How rules of a state and of Rucio differ; pure, so many combinations are tried."""

import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.kinds.shared.rucio_rules import Rule, diff_rules, format_duration, normalize_expression, rule_conditions
from reconciler.systems.rucio.facts import RuleFacts

NOW = datetime.datetime(2026, 11, 22, 12)
HOUR = datetime.timedelta(hours=1)


def existing(expression: str, copies: int = 1, account: str = "root", **more: Any) -> RuleFacts:
    values = {"state": "OK", "created_at": NOW, **more}
    return RuleFacts(id=f"{expression}{copies}", name="d", rse_expression=expression, copies=copies, account=account, **values)


def verbs(desired: list[Rule], found: list[RuleFacts]) -> list[str]:
    return [step.verb for step in diff_rules(desired, found, "root", NOW).steps]


def test_alternatives_in_another_order_are_the_same_rule() -> None:
    assert verbs([Rule(rse_expression="B|A", copies=2)], [existing("A | B", 2)]) == []


def test_only_plain_alternatives_are_sorted() -> None:
    assert normalize_expression("B | A") == "A|B"
    assert normalize_expression("B&A|C") == "B&A|C"
    assert normalize_expression("(B|A)|C") == "(B|A)|C"


def test_a_rule_that_does_not_exist_is_added() -> None:
    assert verbs([Rule(rse_expression="A")], []) == ["replicate"]


def moves(desired: list[Rule], found: list[RuleFacts]) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(step.verb, step.rule_id, step.removes) for step in diff_rules(desired, found, "root", NOW).steps]


def test_a_rule_elsewhere_stays_and_the_missing_one_is_added() -> None:
    diff = diff_rules([Rule(rse_expression="B")], [existing("A")], "root", NOW)
    assert [step.verb for step in diff.steps] == ["replicate"]
    assert [rule.id for rule in diff.unmanaged] == ["A1"]


def test_more_copies_are_a_move_that_removes_nothing() -> None:
    assert moves([Rule(rse_expression="B|A", copies=2)], [existing("A|B")]) == [("move", "A|B1", ())]


def test_fewer_copies_are_a_move_that_removes_the_rule() -> None:
    assert moves([Rule(rse_expression="A|B")], [existing("A|B", 2)]) == [("move", "A|B2", ("A|B2",))]


def test_a_rule_is_replaced_only_if_the_state_names_its_expression_and_that_is_a_removal() -> None:
    rule = Rule(rse_expression="C", replaces="B | A")
    found = [existing("D"), existing("A|B", account="other"), existing("A|B")]
    diff = diff_rules([rule], found, "root", NOW)
    assert [(step.verb, step.rule_id, step.removes) for step in diff.steps] == [("move", "A|B1", ("A|B1",))]
    assert diff.steps[0].reason == "replaces A|B × 1; copies that only that rule kept expire"
    assert [rule.id for rule in diff.unmanaged] == ["D1"]


def test_what_a_rule_replaces_is_left_alone_once_the_rule_exists() -> None:
    assert verbs([Rule(rse_expression="C", replaces="A")], [existing("A"), existing("C")]) == []


def test_a_rule_that_the_state_lists_is_not_replaced() -> None:
    assert verbs([Rule(rse_expression="C", replaces="A"), Rule(rse_expression="A")], [existing("A")]) == ["replicate"]


def test_of_several_rules_to_replace_that_with_as_many_copies_is_moved() -> None:
    rule = Rule(rse_expression="C", copies=2, replaces="A")
    assert moves([rule], [existing("A", 1), existing("A", 2)]) == [("move", "A2", ("A2",))]


def test_the_rule_with_the_same_expression_is_moved_among_several() -> None:
    diff = diff_rules([Rule(rse_expression="B", copies=2)], [existing("A"), existing("B")], "root", NOW)
    assert [(step.verb, step.rule_id, step.reason) for step in diff.steps] == [("move", "B1", "it is B × 1")]
    assert [rule.id for rule in diff.unmanaged] == ["A1"]


def test_a_second_rule_of_one_place_is_unmanaged_and_not_forgotten() -> None:
    diff = diff_rules([Rule(rse_expression="A|B")], [existing("A|B"), existing("B|A")], "root", NOW)
    assert (diff.steps, [rule.id for rule in diff.unmanaged]) == ([], ["B|A1"])


def test_a_rule_that_was_deleted_is_not_unmanaged_and_one_with_a_long_lifetime_is() -> None:
    found = [existing("A", expires_at=NOW + HOUR), existing("B", expires_at=NOW + 3 * HOUR)]
    assert [rule.id for rule in diff_rules([], found, "root", NOW).unmanaged] == ["B1"]


def test_other_rules_of_an_account_that_the_state_names_and_that_does_not_act_are_not_unmanaged() -> None:
    found = [existing("A", account="other"), existing("B", account="other")]
    assert diff_rules([Rule(rse_expression="A", account="other")], found, "root", NOW) == ([], [])


@given(
    st.lists(st.tuples(st.sampled_from("ABC"), st.integers(1, 3)), unique=True, max_size=3),
    st.lists(st.tuples(st.sampled_from("ABC"), st.integers(1, 3)), unique=True, max_size=3),
)
def test_without_replaces_only_rules_of_a_listed_expression_are_touched(
    wanted: list[tuple[str, int]], present: list[tuple[str, int]]
) -> None:
    desired = [Rule(rse_expression=expression, copies=copies) for expression, copies in wanted]
    touched = {
        step.rule_id[0] for step in diff_rules(desired, [existing(*one) for one in present], "root", NOW).steps if step.rule_id
    }
    assert touched <= {expression for expression, _ in wanted}


def test_a_rule_that_is_being_moved_away_is_not_added_again_when_the_state_wants_it_back() -> None:
    """Rucio refuses a second rule with the account, the expression and the copies of one that still exists."""
    found = [existing("A", child_rule_id="A2", state="OK"), existing("A", 2, state="REPLICATING"), existing("B")]
    diff = diff_rules([Rule(rse_expression="A")], found, "root", NOW)
    assert (diff.steps, [rule.id for rule in diff.unmanaged]) == ([], ["B1"])
    assert [condition.text for condition in rule_conditions(found, NOW)][-1].startswith("a rule is being moved")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (-5, "0 s"), (14, "14 s"), (59.4, "59 s"), (59.7, "1 min"), (3599, "1 h"), (86399, "1 d"), (200_000, "2 d")],
)
def test_a_duration_is_rounded_before_its_unit_is_chosen(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


def test_a_rule_of_another_account_is_left_alone() -> None:
    diff = diff_rules([Rule(rse_expression="A")], [existing("A", account="other")], "root", NOW)
    assert [step.verb for step in diff.steps] == ["replicate"]
    assert diff.unmanaged == []


def test_a_rule_may_belong_to_another_account_that_the_state_names() -> None:
    assert verbs([Rule(rse_expression="A", account="other")], [existing("A", account="other")]) == []


def test_an_expiring_rule_is_kept_rather_than_added_again() -> None:
    steps, _ = diff_rules([Rule(rse_expression="A")], [existing("A", expires_at=NOW + HOUR)], "root", NOW)
    assert [(step.verb, step.options, step.reason) for step in steps] == [("update", {"lifetime": None}, "it expires")]


def test_an_attribute_that_differs_is_updated() -> None:
    rule = Rule(rse_expression="A", activity="User", comment="x")
    steps, _ = diff_rules([rule], [existing("A", activity="Other", comments="x")], "root", NOW)
    assert [(step.verb, step.options, step.reason) for step in steps] == [("update", {"activity": "User"}, "activity is 'Other'")]


def test_a_lifetime_is_counted_from_the_creation_of_the_rule() -> None:
    rule = Rule(rse_expression="A", lifetime=3600)
    assert verbs([rule], [existing("A", expires_at=NOW + HOUR)]) == []
    assert verbs([rule], [existing("A", created_at=NOW - 2 * HOUR, expires_at=NOW - HOUR)]) == []
    assert verbs([rule], [existing("A", expires_at=NOW + HOUR / 2)]) == ["update"]
    assert verbs([rule], [existing("A")]) == ["update"]


def test_a_rule_that_is_being_moved_is_not_moved_again() -> None:
    assert verbs([Rule(rse_expression="B")], [existing("A", child_rule_id="x"), existing("B")]) == []


@given(st.lists(st.tuples(st.sampled_from("ABC"), st.integers(1, 3)), unique=True, max_size=4))
def test_rules_that_match_need_no_action(rules: list[tuple[str, int]]) -> None:
    desired = [Rule(rse_expression=expression, copies=copies) for expression, copies in rules]
    diff = diff_rules(desired, [existing(e, c) for e, c in reversed(rules)], "root", NOW)
    assert diff.steps == []
    assert diff.unmanaged == []


def test_each_state_of_a_rule_has_its_message() -> None:
    states = ["OK", "REPLICATING", "STUCK", "SUSPENDED", "INJECT", "WAITING_APPROVAL", "NEW_STATE"]
    more = {"locks_ok": 86, "error": "MissingSourceReplica: no", "stuck_at": NOW - datetime.timedelta(days=3)}
    rules = [existing("A", state=state, locks_stuck=4 if state == "STUCK" else 0, **more) for state in states]
    found = [(condition.kind, condition.text) for condition in rule_conditions(rules, NOW)]
    assert [sort for sort, _ in found] == ["waiting", "degraded", "degraded", "waiting", "waiting", "degraded"]
    assert found[1][1] == "stuck for 3 d: rule A × 1, 4 of 90 files (MissingSourceReplica)"


def test_locks_of_a_rule_with_several_copies_are_not_called_files() -> None:
    rules = [existing("A", 2, state="REPLICATING", locks_ok=6, locks_replicating=14)]
    assert [condition.text for condition in rule_conditions(rules, NOW)] == ["replicating: rule A × 2, 6 of 20 copies of files"]


def test_a_rule_that_is_being_moved_is_waited_for_whatever_its_state() -> None:
    (condition,) = rule_conditions([existing("A", state="STUCK", child_rule_id="x"), existing("B")], NOW)
    assert (condition.kind, condition.field) == ("waiting", "rules")
    assert "being moved" in condition.text


def test_a_duration_is_written_in_its_largest_unit() -> None:
    assert [format_duration(seconds) for seconds in (-1, 14, 120, 7200, 259200)] == ["0 s", "14 s", "2 min", "2 h", "3 d"]


def test_a_rule_is_read_from_what_any_client_returns() -> None:
    identity = {"id": "x", "name": "d", "account": "root", "rse_expression": "A", "copies": "2"}
    times = {"created_at": "2026-11-22T12:00:00+00:00", "expires_at": "Sun, 22 Nov 2026 13:00:00 UTC", "stuck_at": NOW}
    facts = RuleFacts.from_row({**identity, **times, "state": "RuleState.OK", "locks_ok_cnt": None, "locks_stuck_cnt": 4})
    assert (facts.state, facts.copies, facts.locks_ok, facts.locks_stuck) == ("OK", 2, 0, 4)
    assert (facts.created_at, facts.expires_at, facts.stuck_at, facts.updated_at) == (NOW, NOW + HOUR, NOW, None)
