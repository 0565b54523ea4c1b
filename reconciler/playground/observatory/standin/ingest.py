"""`butler ingest-raws`: read index files, write exposure records, then ingest the raws of all of them.

As in obs_base the records of the exposures are written before their datasets, each in a transaction of its own, so an
interruption can leave exposures without raws; and the UUID of a raw follows from its data ID and run.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from astropy.time import Time
from lsst.daf.butler import Butler, DataCoordinate, DatasetIdGenEnum, DatasetRef, DatasetType, FileDataset, Timespan
from lsst.daf.butler.registry import ConflictingDefinitionError
from lsst.resources import ResourcePath

from standin.comcam import LsstComCam
from standin.formatter import BytesFormatter

INDEX = "_index.json"


def find(locations: Iterable[str], regex: str, search_indexes: bool) -> list[tuple[str, dict[str, Any]]]:
    """Find the files to ingest, with their metadata in index files.

    Parameters
    ----------
    locations : iterable of `str`
        Files, whose names end in ``.fits``, or folders to walk.
    regex : `str`
        Regular expression; a folder is used if it contains a file whose name matches, and then all files that its index names.
    search_indexes : `bool`
        Whether a folder is also used if it contains an index file only.

    Returns
    -------
    found : `list` of (`str`, `dict`)
        URI or path of each file with the translated metadata of its index file.

    Raises
    ------
    RuntimeError
        If a folder has no index file, or that has no entry for a file: reading headers needs the real package.
    """
    by_folder: dict[str, set[str] | None] = {}
    for location in locations:
        if location.endswith(".fits"):
            parent, _, name = location.rpartition("/")
            names = by_folder.setdefault(parent or ".", set())
            if names is not None:
                names.add(name)
        else:
            folder = ResourcePath(location, forceDirectory=True)
            pattern = rf"(^{INDEX.replace('.', chr(92) + '.')}$)|({regex})" if search_indexes else regex
            for files in ResourcePath.findFileResources([folder], file_filter=pattern, grouped=True):
                for file in files:
                    by_folder[str(file.dirname()).rstrip("/")] = None
                    break
    found = []
    for folder_name, wanted in by_folder.items():
        folder = ResourcePath(folder_name, forceDirectory=True)
        try:
            index = json.loads(folder.join(INDEX).read())
        except FileNotFoundError as error:
            raise RuntimeError(f"{folder}: no {INDEX}; reading FITS headers needs the Science Pipelines") from error
        common = index.pop("__COMMON__", {})
        index.pop("__CONTENT__", None)
        for name, entry in index.items():
            if wanted is None or name in wanted:
                found.append((f"{folder_name}/{name}", common | entry))
        if unknown := (wanted or set()) - set(index):
            raise RuntimeError(f"{folder}: {INDEX} does not name {', '.join(sorted(unknown))}")
    return found


def records(butler: Butler, observations: Iterable[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Make the dimension records of some exposures.

    Parameters
    ----------
    butler : `lsst.daf.butler.Butler`
        Whose universe says which columns there are.
    observations : iterable of `dict`
        One entry of an index file for each exposure.

    Returns
    -------
    records : `dict`
        Records by dimension, in the order in which they are to be inserted.
    """
    instrument = LsstComCam.getName()
    made: dict[str, list[dict[str, Any]]] = {"day_obs": [], "group": [], "exposure": []}
    nights: set[int] = set()
    for info in observations:
        night = info["observing_day"]
        if night not in nights:
            nights.add(night)
            made["day_obs"].append(
                {"instrument": instrument, "id": night, "timespan": Timespan.from_day_obs(night, offset=12 * 3600)}
            )
        made["group"].append({"instrument": instrument, "name": info["exposure_group"]})
        sky = info["observation_type"] == "science"
        made["exposure"].append(
            {
                "instrument": instrument,
                "id": info["exposure_id"],
                "day_obs": night,
                "group": info["exposure_group"],
                "physical_filter": info["physical_filter"],
                "obs_id": info["observation_id"],
                "exposure_time": info["exposure_time"],
                "dark_time": info["exposure_time"],
                "observation_type": info["observation_type"],
                "observation_reason": info["observation_reason"],
                "seq_num": info["observation_counter"],
                "seq_start": info["observation_counter"],
                "seq_end": info["observation_counter"],
                "target_name": info["object"],
                "science_program": info["science_program"],
                "tracking_ra": info["tracking_radec"][0] if sky else None,
                "tracking_dec": info["tracking_radec"][1] if sky else None,
                "sky_angle": 0.0 if sky else None,
                "azimuth": None,
                "zenith_angle": None,
                "has_simulated": False,
                "can_see_sky": sky,
                "timespan": Timespan(Time(info["datetime_begin"], scale="tai"), Time(info["datetime_end"], scale="tai")),
            }
        )
    known = butler.dimensions["exposure"].schema.names
    made["exposure"] = [{k: v for k, v in record.items() if k in known} for record in made["exposure"]]
    return made


def ingest(
    butler: Butler,
    locations: Iterable[str],
    *,
    regex: str,
    run: str | None,
    transfer: str | None,
    skip_existing: bool,
    search_indexes: bool,
    track_file_attrs: bool,
) -> int:
    """Ingest raws.

    Parameters
    ----------
    butler : `lsst.daf.butler.Butler`
        A writeable repository.
    locations, regex, search_indexes
        As in `find`.
    run : `str` or `None`
        The RUN; the instrument's own for `None`.
    transfer : `str` or `None`
        Transfer mode of the datastore.
    skip_existing : `bool`
        Whether raws that are there already are left out without an error.
    track_file_attrs : `bool`
        Whether sizes are recorded.

    Returns
    -------
    count : `int`
        How many raws were ingested.

    Raises
    ------
    lsst.daf.butler.registry.ConflictingDefinitionError
        If a raw is there already and ``skip_existing`` is `False`.
    """
    found = find(locations, regex, search_indexes)
    instrument = LsstComCam()
    collection = run or f"{instrument.getName()}/raw/all"
    dataset_type = DatasetType("raw", ["instrument", "exposure", "detector"], "Exposure", universe=butler.dimensions)
    butler.registry.registerDatasetType(dataset_type)
    by_exposure: dict[int, dict[str, Any]] = {}
    files: dict[int, list[tuple[str, int]]] = defaultdict(list)
    for path, info in found:
        by_exposure[info["exposure_id"]] = info
        files[info["exposure_id"]].append((path, info["detector_num"]))
    with butler.transaction():
        for element, rows in records(butler, by_exposure.values()).items():
            butler.registry.insertDimensionData(element, *rows, skip_existing=True)
    butler.collections.register(collection)
    have: set[tuple[int, int]] = set()
    with butler.query() as query:
        ids = sorted(by_exposure)
        for start in range(0, len(ids), 10_000):
            bind = {"chosen": ids[start : start + 10_000]}
            some = query.where("exposure IN (chosen)", bind=bind, instrument=instrument.getName())
            for row in some.join_dataset_search("raw", [collection]).data_ids(["exposure", "detector"]):
                have.add((int(row["exposure"]), int(row["detector"])))
    datasets = []
    for exposure, members in files.items():
        for path, detector in members:
            if (exposure, detector) in have:
                if skip_existing:
                    continue
                raise ConflictingDefinitionError(f"Datastore already contains raw {exposure} {detector}")
            ref = DatasetRef(
                dataset_type,
                DataCoordinate.standardize(
                    instrument=instrument.getName(), exposure=exposure, detector=detector, dimensions=dataset_type.dimensions
                ),
                run=collection,
                id_generation_mode=DatasetIdGenEnum.DATAID_TYPE_RUN,
            )
            datasets.append(FileDataset(path=path, refs=[ref], formatter=BytesFormatter))
    if datasets:
        butler.ingest(*datasets, transfer=transfer, record_validation_info=track_file_attrs)
    return len(datasets)
