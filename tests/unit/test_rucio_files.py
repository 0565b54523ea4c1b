"""Lists of the files of Rucio datasets that don't agree with what Rucio records; answers that no server gives on purpose."""

import itertools
from collections.abc import Iterable, Sequence
from types import SimpleNamespace

import pytest

from reconciler.systems.rucio.dids import DidCatalog
from reconciler.systems.rucio.errors import IncompleteAnswer
from reconciler.systems.rucio.facts import DidFacts, FileFacts


def test_a_file_that_is_listed_twice_does_not_make_up_for_one_that_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    catalog = DidCatalog(None)  # type: ignore[arg-type]  # it isn't asked
    listed = {"s:d": [FileFacts("s", "a", 1), FileFacts("s", "a", 1)]}
    monkeypatch.setattr(catalog, "_list_files", lambda datasets: listed)
    monkeypatch.setattr(catalog, "_count_files", lambda datasets, first: {})
    facts = {"s:d": DidFacts("DATASET", False, 2)}
    with pytest.raises(IncompleteAnswer, match="s:d: 1 file listed, 2 recorded"):
        catalog._read_files(["s:d"], facts)


ROWS = [(did, f"f{number}") for did in ("s:a", "s:b", "s:c", "s:d") for number in range(3)]


def check_that_cuts_are_noticed(monkeypatch: pytest.MonkeyPatch, cuts: Iterable[int]) -> None:
    """List four open datasets, each list cut after so many lines: that is an error, or nothing is lost."""
    client = SimpleNamespace(get_did=lambda scope, name, dynamic_depth: {"length": 3})
    catalog = DidCatalog(SimpleNamespace(client=client))  # type: ignore[arg-type]
    left = iter(cuts)

    def list_cut(datasets: Sequence[str]) -> dict[str, list[FileFacts]]:
        rows = [row for did in datasets for row in ROWS if row[0] == did][: next(left)]
        return {did: [FileFacts("s", name, 1) for its, name in rows if its == did] for did in {did for did, _ in rows}}

    monkeypatch.setattr(catalog, "_list_files", list_cut)
    facts = {did: DidFacts("DATASET", True, None) for did in ("s:a", "s:b", "s:c", "s:d")}
    try:
        found = catalog._read_files(list(facts), facts)
    except IncompleteAnswer:
        return
    assert {did: len(files) for did, files in found.items()} == dict.fromkeys(facts, 3)


@pytest.mark.parametrize("second", range(len(ROWS) + 1))
@pytest.mark.parametrize("first", range(len(ROWS) + 9 + 1))
def test_lists_of_open_datasets_that_are_cut_in_different_places_are_noticed_or_lost_nothing(
    monkeypatch: pytest.MonkeyPatch, first: int, second: int
) -> None:
    check_that_cuts_are_noticed(monkeypatch, (first, second))


@pytest.mark.parametrize("kept", range(len(ROWS) + 9 + 1))
def test_a_list_of_open_datasets_that_is_cut_anywhere_is_noticed_or_lost_nothing(
    monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    """Every list is cut after the same number of lines; what the server counts is right."""
    check_that_cuts_are_noticed(monkeypatch, itertools.repeat(kept))
