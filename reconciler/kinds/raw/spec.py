"""The keys of a ``raw`` table."""

from __future__ import annotations

from pydantic import Field

from reconciler.engine.spec import InputPath, Spec
from reconciler.files import location_list
from reconciler.kinds.shared.delivery import DELIVERED_BY
from reconciler.kinds.shared.dids import DidPattern
from reconciler.kinds.shared.storage_check import VERIFY
from reconciler.kinds.shared.transfer import TRANSFER, Transfer


class RawSpec(Spec):
    """Raw exposures; the key is the name of their RUN collection."""

    instrument: str = Field(description="Short name of the instrument that took the raws.", examples=["LSSTComCam"])
    locations: tuple[InputPath, ...] = Field(
        (),
        min_length=1,
        description="Folders that contain the raws, as URIs or as paths, relative to this file.",
        examples=[["${data}/raw/LSSTComCam"]],
    )
    locations_file: InputPath | None = Field(
        None,
        description="Text file that lists further folders, one a line, as URIs or as paths relative to that file.",
        examples=["nights.txt"],
    )
    transfer: Transfer = TRANSFER
    delivered_by: tuple[DidPattern, ...] = DELIVERED_BY
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
    exclude: tuple[str, ...] = Field(
        (),
        description=(
            "Files that are no raws of this table, such as guiders or dome flats, as shell patterns: one without a slash matches "
            "the name of a file, one with a slash the end of its path."
        ),
        examples=[["*_guider.fits", "domeflats/*"]],
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
    update_records: bool = Field(
        False,
        description=(
            "Whether the records of exposures that exist with other values are updated when further raws of them are ingested; "
            "otherwise these raws are reported."
        ),
        examples=[True],
    )
    processes: int = Field(
        1, ge=1, description="Number of files whose headers `butler ingest-raws` reads at the same time.", examples=[8]
    )
    ingest_task: str | None = Field(
        None,
        description="Python class that ingests, if it isn't obs_base's RawIngestTask.",
        examples=["lsst.obs.decam.DecamRawIngestTask"],
    )
    config: dict[str, str | int | float | bool] = Field(
        default_factory=dict, description="Configuration of the ingest task.", examples=[{"failFast": False}]
    )
    config_file: InputPath | None = Field(
        None, description="File with configuration of the ingest task.", examples=["ingest_config.py"]
    )
    track_file_attrs: bool = Field(
        True,
        description="Whether the datastore records the size of each file, which takes one request per file.",
        examples=[False],
    )

    def list_locations(self) -> tuple[str, ...]:
        """Return all folders that contain the raws.

        Raises
        ------
        reconciler.errors.StateError
            If the file that lists folders can't be read.
        """
        if self.locations_file is None:
            return self.locations
        return (*self.locations, *location_list.read(self.locations_file))

    @property
    def ingest_options(self) -> tuple[str, ...]:
        """The options of ``butler ingest-raws`` that the keys of the table stand for, without the transfer mode and the RUN."""
        options = [word for key, value in self.config.items() for word in ("--config", f"{key}={value}")]
        for option, value in (("--config-file", self.config_file), ("--ingest-task", self.ingest_task)):
            options += [option, value] if value is not None else []
        options += ["--processes", str(self.processes)] if self.processes > 1 else []
        options += ["--update-records"] if self.update_records else []
        options += [] if self.track_file_attrs else ["--no-track-file-attrs"]
        return tuple(options)
