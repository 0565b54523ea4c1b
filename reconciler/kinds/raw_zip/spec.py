"""The keys of a ``raw_zip`` table."""

from __future__ import annotations

from pydantic import Field

from reconciler.engine.spec import InputPath, Spec
from reconciler.kinds.shared.dids import DidPattern
from reconciler.kinds.shared.nights import NIGHTS
from reconciler.kinds.shared.storage_check import VERIFY
from reconciler.kinds.shared.transfer import TRANSFER, Transfer


class RawZipSpec(Spec):
    """Raw exposures that are delivered as zips, one for each exposure; the key is the name of their RUN collection."""

    instrument: str = Field(description="Short name of the instrument that took the raws.", examples=["LSSTCam"])
    nights: str = NIGHTS
    delivered_by: tuple[DidPattern, ...] = Field(
        min_length=1,
        description=(
            "Rucio datasets that deliver the zips `INSTRUMENT/NIGHT/OBS_ID.zip` and, next to them, the dimension records "
            "`OBS_ID_dimensions.yaml`: DIDs scope:name with wildcards. Those whose name contains another night are left out, "
            "and of a pattern that ends with `/*` those whose name contains none, unless `nights` has no end."
        ),
        examples=[["raw:Dataset/LSSTCam/raw/*/*"]],
    )
    locations: tuple[InputPath, ...] = Field(
        min_length=1,
        description="Folders that contain the zips, as URIs or as paths, relative to this file.",
        examples=[["${data}/raw/LSSTCam"]],
    )
    guiders: str | None = Field(
        None,
        description=(
            "RUN collection of the guider files (dataset type `guider_raw`) that zips contain besides the raws; with it, a "
            "proof covers them, too. Without it, zips with guiders are opened each time."
        ),
        examples=["LSSTCam/raw/guider"],
    )
    transfer: Transfer = TRANSFER
    verify: str = VERIFY
