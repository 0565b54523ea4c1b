"""A stand-in for USDF's repository, with calibrations, a pretrained model, an FGCM table and ephemerides, and their
export files.

It is created by a process in the playground's environment, because it needs the stand-in observatory:
``python -m reconciler.playground.usdf DIR``.
"""

from __future__ import annotations

import sys
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from reconciler.playground.campaign import select_visits
from reconciler.playground.world import INSTRUMENT, SLAC, World

CALIBRATIONS: dict[str, tuple[str, ...]] = {
    "DM-48955": ("illumCorr/illuminationCorrection.20250224a",),
    "DM-48520": (
        *(f"DP1/flat-{band}.20250207a" for band in "yzirgu"),
        *(f"DP1/{name}.20250207a" for name in ("dark", "bias", "cti", "defects")),
    ),
    "DM-47365": ("addManualDefects/defects.20241211a",),
    "DM-47741": ("twiflat/flat-y.20241120a",),
    "DM-47547": ("twiflat/flat-z.20241113a", "twiflat/flat-r.20241113a", "twiflat/flat-g.20241113a"),
    "DM-47499": ("twiflat/flat-u.20241110a",),
    "DM-47447": tuple(f"gainFixup/{name}.20241107a" for name in ("flat-g", "flat-i", "flat-r", "dark", "bias", "ptc")),
    "DM-47197": ("pseudoFlat/flat-r.20241028d", "pseudoFlat/flat-i.20241028d"),
    "DM-46360": tuple(
        f"isrTaskLSST/{name}.20240926a"
        for name in ("flat-i", "flat-r", "flat-g", "dark", "bias", "bfk", "ptc", "linearizer", "defects")
    ),
    "DM-47498": ("fallbackFlats/flat-all.20241112a",),
}
"""CALIBRATION collections of each ticket, in the order of its chain."""

STORAGE = {
    "flat": "ExposureF",
    "dark": "ExposureF",
    "bias": "ExposureF",
    "illuminationCorrection": "ExposureF",
    "cti": "IsrCalib",
    "defects": "Defects",
    "ptc": "PhotonTransferCurveDataset",
    "bfk": "BrighterFatterKernel",
    "linearizer": "Linearizer",
}
"""Storage class of each calibration dataset type."""

FILTERS = {"u": "u_05", "g": "g_01", "r": "r_03", "i": "i_06", "z": "z_03", "y": "y_04"}
GENERIC = "lsst.obs.base.formatters.fitsGeneric.FitsGenericFormatter"
EXPOSURE = "lsst.obs.base.formatters.fitsExposure.FitsExposureFormatter"
MODEL = "lsst.meas.transiNet.modelPackages.formatters.NNModelPackageFormatter"
MODEL_RUN = "pretrained_models/tac_cnn_comcam_2025-02-18"
MODEL_ID = "a83d850a-0094-417c-ac9c-64d0f7b98048"
FGCM_RUN = "LSSTComCam/calib/fgcmcal/DM-48089"
FGCM_ID = "bb573ca3-6159-45d9-88e3-866e01da4882"
EPHEMERIDES_RUN = "u/jkurla/dp1_ephem_2/20250409T013000Z"


class UsdfRepository:
    """USDF's repository, open for writing; it is created if it doesn't exist."""

    def __init__(self, world: World) -> None:
        from lsst.daf.butler import Butler

        self.world = world
        self.ancillary = world.storage(SLAC) / "ancillary"
        if not (world.usdf / "butler.yaml").exists():
            Butler.makeRepo(str(world.usdf))
        self.butler = Butler.from_config(str(world.usdf), writeable=True)

    def write_file(self, path: str) -> Path:
        """Write a made-up file at a path below the ancillary folder at SLAC."""
        file = self.ancillary / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(f"made-up content of {path}\n".encode() * 10)
        return file

    def ingest_files(
        self,
        name: str,
        storage_class: str,
        dimensions: Iterable[str],
        run: str,
        data_ids: Iterable[dict[str, Any]],
        path: Any,
        formatter: str,
        *,
        is_calibration: bool = False,
        ids: Iterable[str] = (),
    ) -> list[Any]:
        """Write one made-up file for each data ID, ingest the files, and return their dataset references.

        `path` maps a data ID to the file's path below the ancillary folder; `ids` gives UUIDs for the first datasets, and the
        others get UUIDs derived from their data IDs, so that every playground has the same.
        """
        from lsst.daf.butler import DatasetRef, DatasetType, FileDataset

        butler = self.butler
        dataset_type = DatasetType(
            name, tuple(dimensions), storage_class, isCalibration=is_calibration, universe=butler.dimensions
        )
        butler.registry.registerDatasetType(dataset_type)
        butler.collections.register(run)
        given = iter(ids)
        files, refs = [], []
        for data_id in data_ids:
            key = next(given, None) or uuid.uuid5(uuid.NAMESPACE_URL, f"{run}/{name}/{sorted(data_id.items())}")
            full = butler.registry.expandDataId(data_id, dimensions=dataset_type.dimensions)
            ref = DatasetRef(dataset_type, full, run=run, id=uuid.UUID(str(key)))
            refs.append(ref)
            files.append(FileDataset(path=self.write_file(path(data_id)).as_uri(), refs=[ref], formatter=formatter))
        butler.ingest(*files, transfer="direct")
        return refs

    def export(self, target: Path, refs: Iterable[Any], collections: Iterable[str]) -> None:
        """Write an export file of datasets and further collections, with paths relative to the ancillary folder.

        In `collections` children come before their chains.
        """
        root = self.ancillary.as_uri() + "/"

        def relative(dataset: Any) -> Any:
            dataset.path = str(dataset.path).removeprefix(root)
            return dataset

        target.parent.mkdir(parents=True, exist_ok=True)
        with self.butler.export(filename=str(target), transfer=None) as export:
            export.saveDatasets(list(refs), rewrite=relative)
            for collection in collections:
                export.saveCollection(collection)


def data_ids(stem: str) -> Iterator[dict[str, Any]]:
    """Yield a data ID for each detector, and each filter if the dataset type has one, of a calibration such as ``flat-y``."""
    name, _, band = stem.partition("-")
    if name == "illuminationCorrection":
        bands = ["g", "r", "i"]
    elif name == "flat":
        bands = list(FILTERS) if band == "all" else [band]
    else:
        bands = []
    for detector in range(9):
        base = {"instrument": INSTRUMENT, "detector": detector}
        if bands:
            yield from (base | {"physical_filter": FILTERS[one]} for one in bands)
        else:
            yield base


def create_calibrations(usdf: UsdfRepository) -> None:
    """Create the calibration collections and the chain of each ticket, and export each chain."""
    from astropy.time import Time
    from lsst.daf.butler import CollectionType, Timespan

    butler = usdf.butler
    for ticket, members in CALIBRATIONS.items():
        chain = f"{INSTRUMENT}/calib/{ticket}"
        everything, names = [], []
        for member in members:
            collection = f"{chain}/{member}"
            stem, _, date = member.rpartition("/")[2].partition(".")
            name = stem.partition("-")[0]
            dimensions = ["instrument", "detector"]
            if name in ("flat", "illuminationCorrection"):
                dimensions.append("physical_filter")
            run = f"{chain}/{member.partition('/')[0]}/{name}Gen-{stem}.{date}/{date[:8]}T000000Z"

            def path(data_id: dict[str, Any], run: str = run, name: str = name) -> str:
                rest = "_".join(str(value) for value in data_id.values())
                return f"{run}/{name}/{name}_{rest}.fits"

            formatter = EXPOSURE if STORAGE[name] == "ExposureF" else GENERIC
            refs = usdf.ingest_files(name, STORAGE[name], dimensions, run, data_ids(stem), path, formatter, is_calibration=True)
            butler.collections.register(collection, CollectionType.CALIBRATION)
            begin = f"{date[:4]}-{date[4:6]}-{date[6:8]}T00:00:00"
            butler.registry.certify(collection, refs, Timespan(Time(begin, scale="tai"), None))
            everything += refs
            names.append(collection)
        butler.collections.register(chain, CollectionType.CHAINED)
        butler.collections.redefine_chain(chain, names)
        usdf.export(usdf.world.inputs / ticket / "export.yaml", everything, [*names, chain])


def create_ephemerides(usdf: UsdfRepository) -> None:
    """Create the solar-system ephemerides of the selected visits, and export them; needs the visits."""
    refs = usdf.ingest_files(
        "preloaded_DRP_SsObjects",
        "ArrowAstropy",
        ("instrument", "visit"),
        EPHEMERIDES_RUN,
        ({"instrument": INSTRUMENT, "visit": visit} for visit in select_visits(usdf.world.sizes)),
        lambda data_id: f"{EPHEMERIDES_RUN}/preloaded_DRP_SsObjects/{data_id['visit']}.parq",
        "lsst.daf.butler.formatters.parquet.ParquetFormatter",
    )
    usdf.export(usdf.world.inputs / "DM-49977" / "export.yaml", refs, [])


def create_repository(world: World) -> None:
    """Create the whole repository, unless its calibrations exist; the raws must be at SLAC."""
    from lsst.pipe.base import Instrument
    from standin.ingest import RawIngestConfig, RawIngestTask
    from standin.visits import define_visits

    usdf = UsdfRepository(world)
    butler = usdf.butler
    if butler.collections.query("LSSTComCam/calib/*"):
        return
    Instrument.from_string("lsst.obs.lsst.LsstComCam").register(butler.registry)
    RawIngestTask(RawIngestConfig(transfer="direct"), butler=butler).run([str(world.storage(SLAC) / "raw" / INSTRUMENT)])
    define_visits(butler, INSTRUMENT)
    create_calibrations(usdf)
    usdf.ingest_files(
        "pretrainedModelPackage",
        "NNModelPackagePayload",
        (),
        MODEL_RUN,
        [{}],
        lambda _: f"{MODEL_RUN}/pretrainedModelPackage/pretrainedModelPackage_{MODEL_RUN.replace('/', '_')}.zip",
        MODEL,
        ids=[MODEL_ID],
    )
    usdf.ingest_files(
        "fgcmLookUpTable",
        "Catalog",
        ("instrument",),
        FGCM_RUN,
        [{"instrument": INSTRUMENT}],
        lambda _: f"{FGCM_RUN}/fgcmLookUpTable/fgcmLookUpTable_LSSTComCam_LSSTComCam_calib_fgcmcal_DM-48089.fits",
        GENERIC,
        ids=[FGCM_ID],
    )
    create_ephemerides(usdf)


if __name__ == "__main__":
    create_repository(World(Path(sys.argv[1])))
