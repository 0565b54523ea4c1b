"""Transfer modes of the datastore, for the kinds that ingest files."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

Transfer = Literal["auto", "link", "symlink", "hardlink", "copy", "move", "relsymlink", "direct"]

TRANSFER: Transfer = Field(
    "direct",
    description=(
        "Transfer mode of the ingest, as in `butler ingest-raws --transfer`. `direct` records the files where they are; the "
        "other modes put them, or links to them, into the repository."
    ),
    examples=["symlink"],
)
