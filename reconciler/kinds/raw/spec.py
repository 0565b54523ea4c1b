"""The keys of a ``raw`` table."""

from __future__ import annotations

from pydantic import Field

from reconciler.engine.model import InputPath, Spec
from reconciler.kinds.shared.delivery import DELIVERED_BY
from reconciler.kinds.shared.storage_check import VERIFY
from reconciler.kinds.shared.transfer import TRANSFER, Transfer


class RawSpec(Spec):
    """Raw exposures; the key is the name of their RUN collection."""

    instrument: str = Field(description="Short name of the instrument that took the raws.", examples=["LSSTComCam"])
    locations: tuple[InputPath, ...] = Field(
        min_length=1,
        description="Folders that contain the raws, as URIs or as paths, relative to this file.",
        examples=[["${data}/raw/LSSTComCam"]],
    )
    transfer: Transfer = TRANSFER
    delivered_by: tuple[str, ...] = DELIVERED_BY
    verify: str = VERIFY
    sidecars: int = Field(
        0,
        ge=0,
        description=(
            "Number of non-raw files that Rucio has for each exposure, such as `_index.json`. --quick needs it: with the wrong "
            "number, Rucio's counts never agree with those of the raws, so that all are listed."
        ),
        examples=[1],
    )
    files: str = Field(
        r"\.fits?(\.fz|\.gz)?$", description="Regular expression that the names of raws match.", examples=[r"_R\d\d_S\d\d\.fits$"]
    )
    data_id: str | None = Field(
        None,
        description=(
            "Regular expression that finds the data ID in the path of a raw, with a group for the exposure, `exposure` (its "
            "number) or `obs_id`, and one for the detector, `detector` (its number) or `full_name`. Without it, files are "
            "compared by URI, which needs `transfer` to be `direct`."
        ),
        examples=[r"(?P<obs_id>CC_O_\d{8}_\d{6})_(?P<full_name>R\d\d_S\d\d)\.fits"],
    )
