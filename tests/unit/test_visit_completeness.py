"""Which exposures lack a visit, by visit system."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from reconciler.kinds.shared.visit_completeness import BY_GROUP, BY_SEQUENCE, ONE_TO_ONE, Lack, are_complete, find_incomplete
from reconciler.systems.butler.observations import Exposure

BOTH = (ONE_TO_ONE, BY_SEQUENCE)


def exposure(number: int, start: int | None = None, end: int | None = None, group: str | None = None) -> Exposure:
    return Exposure(number, 20241108, number, start or number, end or number, group)


def lack(*group: int, systems: tuple[int, ...] = BOTH, joins: bool = False) -> Lack:
    return Lack(frozenset(systems), group, joins)


SINGLE = [exposure(1), exposure(2)]
SNAPS = [exposure(1, 1, 2), exposure(2, 1, 2)]
FIRST = [(91, 1), (1, 1)], [(91, ONE_TO_ONE), (1, BY_SEQUENCE)]
"""Definitions and memberships after the first of two snaps: a visit of its own, and the one of the sequence."""


def test_every_exposure_lacks_a_visit_in_the_beginning() -> None:
    assert find_incomplete(SINGLE, [], [], []) == {1: lack(1, systems=()), 2: lack(2, systems=())}
    assert find_incomplete(SNAPS, [], [], BOTH) == {1: lack(1, 2), 2: lack(1, 2)}


def test_one_visit_of_a_sequence_of_one_exposure_is_enough_for_both_systems() -> None:
    members = [(1, ONE_TO_ONE), (1, BY_SEQUENCE), (2, ONE_TO_ONE), (2, BY_SEQUENCE)]
    assert find_incomplete(SINGLE, [(1, 1), (2, 2)], members, BOTH) == {}


def test_a_visit_from_a_time_with_fewer_systems_counts_unless_the_state_names_the_systems() -> None:
    given = SINGLE[:1], [(1, 1)], [(1, ONE_TO_ONE)], BOTH
    assert find_incomplete(*given) == {}
    assert find_incomplete(*given, strict=True) == {1: lack(1, systems=(BY_SEQUENCE,))}


def test_a_visit_whose_systems_are_not_recorded_counts_for_all() -> None:
    assert find_incomplete(SNAPS, [(1, 1), (1, 2)], [], BOTH) == {}


def test_a_late_second_snap_has_to_be_added_to_the_visit_of_the_first() -> None:
    assert find_incomplete(SNAPS, *FIRST, BOTH) == {2: lack(2, joins=True)}


def test_both_snaps_are_given_together_if_the_first_is_late() -> None:
    found = find_incomplete(SNAPS, [(2, 2)], [(2, ONE_TO_ONE)], BOTH)
    assert found == {1: lack(1, 2), 2: lack(1, 2, systems=(BY_SEQUENCE,))}


def test_a_second_snap_without_the_first_has_no_visit_of_the_sequence() -> None:
    assert find_incomplete(SNAPS[1:], [(2, 2)], [(2, ONE_TO_ONE)], BOTH) == {}


def test_an_interruption_between_the_visits_of_snaps_is_noticed() -> None:
    found = find_incomplete(SNAPS, [(91, 1)], [(91, ONE_TO_ONE)], BOTH)
    assert found == {1: lack(1, 2, systems=(BY_SEQUENCE,)), 2: lack(1, 2)}


@given(
    st.lists(st.tuples(st.sampled_from([1, 2, 91]), st.integers(1, 2))),
    st.lists(st.tuples(st.sampled_from([1, 2, 91]), st.sampled_from(BOTH))),
    st.booleans(),
)
def test_exposures_with_a_visit_in_every_system_are_complete(
    definitions: list[tuple[int, int]], memberships: list[tuple[int, int]], strict: bool
) -> None:
    for exposures in (SINGLE, SNAPS):
        lacking = find_incomplete(exposures, definitions, memberships, BOTH, strict=strict)
        complete = are_complete([1, 2], definitions, memberships, BOTH)
        assert not (complete and lacking)
        assert complete or lacking or (exposures is SINGLE and not strict), "only then is less than every system enough"


def test_exposures_of_a_group_are_one_visit() -> None:
    grouped = [exposure(number, group="g") for number in (1, 2)]
    assert find_incomplete(grouped, [], [], [BY_GROUP]) == {
        1: lack(1, 2, systems=(BY_GROUP,)),
        2: lack(1, 2, systems=(BY_GROUP,)),
    }
    late = find_incomplete(grouped, [(7, 1)], [(7, BY_GROUP)], [BY_GROUP])
    assert late == {2: lack(2, systems=(BY_GROUP,), joins=True)}


def test_exposures_of_a_universe_without_sequences_are_sequences_of_one() -> None:
    assert find_incomplete([Exposure(1, 20241108, 1)], [(1, 1)], [(1, ONE_TO_ONE)], [ONE_TO_ONE]) == {}
