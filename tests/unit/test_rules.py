"""What has to be done about replication rules: pure, so tried in every combination."""

import datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from reconciler.kinds.shared.rucio_rules import Rule, health, normal, reconcile

NOW = datetime.datetime(2026, 11, 22, 12)


def there(expression: str, copies: int = 1, account: str = "root", **more: Any) -> dict[str, Any]:
    base = {"id": f"{expression}{copies}", "rse_expression": expression, "copies": copies, "account": account, "state": "OK"}
    return {**base, "created_at": NOW, "expires_at": None, "child_rule_id": None, **more}


def verbs(wanted: list[Rule], found: list[dict[str, Any]]) -> list[str]:
    return [step.verb for step in reconcile(wanted, found, "root", NOW)[0]]


def test_alternatives_in_another_order_are_the_same_rule() -> None:
    assert verbs([Rule(rse_expression="B|A", copies=2)], [there("A | B", 2)]) == []
    assert normal("B&A|C") == "B&A|C"
    assert normal("(B|A)|C") == "(B|A)|C"


def test_a_rule_that_is_not_there_is_added() -> None:
    assert verbs([Rule(rse_expression="A")], []) == ["replicate"]


def test_other_copies_or_another_expression_make_a_move() -> None:
    assert verbs([Rule(rse_expression="A", copies=2)], [there("A")]) == ["move"]
    assert verbs([Rule(rse_expression="B")], [there("A")]) == ["move"]


def test_which_rule_is_to_be_moved_is_never_guessed() -> None:
    assert verbs([Rule(rse_expression="B"), Rule(rse_expression="C")], [there("A")]) == ["replicate", "replicate"]


def test_a_rule_of_another_account_is_left_alone() -> None:
    assert verbs([Rule(rse_expression="A")], [there("A", account="other")]) == ["replicate"]


def test_an_expiring_twin_is_undeleted_rather_than_added_again() -> None:
    steps, _ = reconcile([Rule(rse_expression="A")], [there("A", expires_at="2026-11-22T13:00:00")], "root", NOW)
    assert [(step.verb, step.options) for step in steps] == [("update", {"lifetime": None})]


def test_what_can_be_updated_is_updated() -> None:
    rule = Rule(rse_expression="A", activity="User", comment="x")
    steps, _ = reconcile([rule], [there("A", activity="Other", comments="x")], "root", NOW)
    assert [(step.verb, step.options) for step in steps] == [("update", {"activity": "User"})]


def test_a_lifetime_that_was_given_is_kept() -> None:
    rule = Rule(rse_expression="A", lifetime=3600)
    lasting = there("A", expires_at=NOW + datetime.timedelta(hours=1))
    assert verbs([rule], [lasting]) == []
    assert verbs([rule], [there("A")]) == ["update"]


def test_a_rule_that_is_being_moved_is_not_moved_again() -> None:
    assert verbs([Rule(rse_expression="B")], [there("A", child_rule_id="x"), there("B")]) == []


@given(st.lists(st.tuples(st.sampled_from("ABC"), st.integers(1, 3)), unique=True, max_size=4))
def test_rules_that_are_as_wanted_need_nothing(rules: list[tuple[str, int]]) -> None:
    wanted = [Rule(rse_expression=expression, copies=copies) for expression, copies in rules]
    steps, strangers = reconcile(wanted, [there(e, c) for e, c in reversed(rules)], "root", NOW)
    assert steps == []
    assert strangers == []


def test_each_state_of_a_rule_has_its_words() -> None:
    states = ["OK", "REPLICATING", "STUCK", "SUSPENDED", "INJECT", "WAITING_APPROVAL", "NEW_STATE"]
    rules = [
        there("A", state=s, locks_ok_cnt=86, locks_stuck_cnt=4 if s == "STUCK" else 0, locks_replicating_cnt=0)
        | {"error": "MissingSourceReplica: no", "stuck_at": NOW - datetime.timedelta(days=3)}
        for s in states
    ]
    told = [(condition.sort, condition.text) for condition in health(rules, NOW)]
    assert [sort for sort, _ in told] == ["waiting", "unwell", "unwell", "waiting", "waiting", "unwell"]
    assert told[1][1] == "stuck for 3 d: rule A × 1, 4 of 90 files (MissingSourceReplica)"
