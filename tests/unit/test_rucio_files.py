"""Lists of the files of Rucio datasets that don't agree with what Rucio records; answers that no server gives on purpose."""

import pytest

from reconciler.systems.rucio.dids import DidCatalog
from reconciler.systems.rucio.errors import IncompleteAnswer
from reconciler.systems.rucio.facts import DidFacts, FileFacts


def test_a_file_that_is_listed_twice_does_not_make_up_for_one_that_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    catalog = DidCatalog(None)  # type: ignore[arg-type]  # it isn't asked
    listed = {"s:d": [FileFacts("s", "a", 1), FileFacts("s", "a", 1)]}
    monkeypatch.setattr(catalog, "_list_files", lambda datasets: listed)
    monkeypatch.setattr(catalog, "_count_files", lambda datasets: {})
    facts = {"s:d": DidFacts("DATASET", False, 2)}
    with pytest.raises(IncompleteAnswer, match="s:d: 1 file listed, 2 recorded"):
        catalog._read_files(["s:d"], facts)
