"""Transfer modes of the datastore, for the kinds that ingest files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

from pydantic import Field

from reconciler.engine.spec import NotObserved

Transfer = Annotated[
    Literal["auto", "link", "symlink", "hardlink", "copy", "move", "relsymlink", "direct"],
    NotObserved(),
]
"""How an ingest brings files into the datastore; the registry doesn't record it."""


def check_transfer(transfer: str, delivered_by: Sequence[str]) -> Iterator[str]:
    """Yield why files that Rucio delivers can't be moved."""
    if transfer == "move" and delivered_by:
        yield 'transfer: "move" would take the files away from Rucio, which has them on record; use "direct", "copy" or a link'


TRANSFER: Transfer = Field(
    "direct",
    description=(
        "Transfer mode of the ingest, as in `butler ingest-raws --transfer`. `direct` records the files where they are; the "
        "other modes put them, or links to them, into the repository."
    ),
    examples=["symlink"],
)
