"""Few files of large Rucio datasets are asked for by their names."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from reconciler.kinds.shared import delivery
from reconciler.kinds.shared.delivery import query_delivery
from reconciler.systems.rucio.facts import DidFacts


def test_a_file_that_holds_several_datasets_is_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "explain_unknown_rse", lambda context, rse: "")
    rucio = SimpleNamespace(
        matching=lambda pattern: [pattern],
        dids=lambda dids, confirm=True: {
            did: DidFacts("DATASET" if did == "s:d" else "FILE", False, 5000)
            for did in dids
            if did in ("s:d", "s:a.fits", "s:b.fits")
        },
        available=lambda dids, rse: {("s", "a.fits")},
    )
    context: Any = SimpleNamespace(rse="X", rucio=rucio, policy=SimpleNamespace(is_large=lambda total: True))
    state = query_delivery(context, ["s:d"], ["/x/a.fits"] * 3 + ["/x/b.fits"] * 3)
    assert state.condition is not None
    assert state.condition.text == "waiting for s:d, 1 of these files not here yet"
