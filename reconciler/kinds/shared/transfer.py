"""Transfer modes of the datastore, for the kinds that ingest files."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from reconciler.engine.spec import NotObserved

Transfer = Annotated[
    Literal["auto", "link", "symlink", "hardlink", "copy", "move", "relsymlink", "direct"],
    NotObserved(),
]
"""How an ingest brings files into the datastore; the registry doesn't record it."""

TRANSFER: Transfer = Field(
    "direct",
    description=(
        "Transfer mode of the ingest, as in `butler ingest-raws --transfer`. `direct` records the files where they are; the "
        "other modes put them, or links to them, into the repository."
    ),
    examples=["symlink"],
)
