"""The repository that stands for USDF's: calibrations, pretrained model, FGCM table, ephemerides; and the exports of them.

Runs as a process of its own in the playground's environment, because it needs the stand-in observatory:
``python -m reconciler.playground.usdf DIR``.
"""

from __future__ import annotations

import sys
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from reconciler.playground.campaign import selected
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


class Main:
    """USDF's repository while it is being made.

    Parameters
    ----------
    world : `World`
        The playground.
    """

    def __init__(self, world: World) -> None:
        from lsst.daf.butler import Butler

        self.world = world
        self.ancillary = world.storage(SLAC) / "ancillary"
        if not (world.usdf / "butler.yaml").exists():
            Butler.makeRepo(str(world.usdf))
        self.butler = Butler.from_config(str(world.usdf), writeable=True)

    def write(self, path: str) -> Path:
        """Write a made-up file.

        Parameters
        ----------
        path : `str`
            Under the ancillary folder at SLAC.

        Returns
        -------
        file : `pathlib.Path`
            The file.
        """
        file = self.ancillary / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(f"made-up content of {path}\n".encode() * 10)
        return file

    def add(
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
        """Write files and ingest them.

        Parameters
        ----------
        name, storage_class, dimensions, is_calibration
            The dataset type.
        run : `str`
            The RUN.
        data_ids : iterable of `dict`
            One for each dataset.
        path : callable
            Gives a dataset's path under the ancillary folder for a data ID.
        formatter : `str`
            Its class.
        ids : iterable of `str`
            UUIDs, where they are given.

        Returns
        -------
        refs : `list` [`lsst.daf.butler.DatasetRef`]
            The datasets.
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
            files.append(FileDataset(path=self.write(path(data_id)).as_uri(), refs=[ref], formatter=formatter))
        butler.ingest(*files, transfer="direct")
        return refs

    def export(self, target: Path, refs: Iterable[Any], collections: Iterable[str]) -> None:
        """Export datasets, with paths relative to the ancillary folder.

        Parameters
        ----------
        target : `pathlib.Path`
            The export file.
        refs : iterable of `lsst.daf.butler.DatasetRef`
            The datasets.
        collections : iterable of `str`
            Further collections, children before their chains.
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
    """Give the data IDs of a calibration.

    Parameters
    ----------
    stem : `str`
        Such as ``flat-y`` or ``bias``.

    Yields
    ------
    data_id : `dict`
        For each detector, and each filter where the type has one.
    """
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


def make_calibrations(main: Main) -> None:
    """Make the ten calibration collections, and export each.

    Parameters
    ----------
    main : `Main`
        The repository.
    """
    from astropy.time import Time
    from lsst.daf.butler import CollectionType, Timespan

    butler = main.butler
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
            refs = main.add(name, STORAGE[name], dimensions, run, data_ids(stem), path, formatter, is_calibration=True)
            butler.collections.register(collection, CollectionType.CALIBRATION)
            begin = f"{date[:4]}-{date[4:6]}-{date[6:8]}T00:00:00"
            butler.registry.certify(collection, refs, Timespan(Time(begin, scale="tai"), None))
            everything += refs
            names.append(collection)
        butler.collections.register(chain, CollectionType.CHAINED)
        butler.collections.redefine_chain(chain, names)
        main.export(main.world.inputs / ticket / "export.yaml", everything, [*names, chain])


def make_ephemerides(main: Main) -> None:
    """Make the solar-system ephemerides of the selected visits, and export them.

    Parameters
    ----------
    main : `Main`
        The repository, with raws and visits.
    """
    refs = main.add(
        "preloaded_DRP_SsObjects",
        "ArrowAstropy",
        ("instrument", "visit"),
        EPHEMERIDES_RUN,
        ({"instrument": INSTRUMENT, "visit": visit} for visit in selected(main.world.sizes)),
        lambda data_id: f"{EPHEMERIDES_RUN}/preloaded_DRP_SsObjects/{data_id['visit']}.parq",
        "lsst.daf.butler.formatters.parquet.ParquetFormatter",
    )
    main.export(main.world.inputs / "DM-49977" / "export.yaml", refs, [])


def make(world: World) -> None:
    """Make all of it.

    Parameters
    ----------
    world : `World`
        The playground; raws lie at SLAC already.
    """
    from lsst.pipe.base import Instrument
    from standin.ingest import ingest
    from standin.visits import define_visits

    main = Main(world)
    butler = main.butler
    if butler.collections.query("LSSTComCam/calib/*"):
        return
    Instrument.from_string("lsst.obs.lsst.LsstComCam").register(butler.registry)
    ingest(
        butler,
        [str(world.storage(SLAC) / "raw" / INSTRUMENT)],
        regex=r"\.fits\b",
        run=None,
        transfer="direct",
        skip_existing=True,
        search_indexes=True,
        track_file_attrs=True,
    )
    define_visits(butler, "", False)
    make_calibrations(main)
    main.add(
        "pretrainedModelPackage",
        "NNModelPackagePayload",
        (),
        MODEL_RUN,
        [{}],
        lambda _: f"{MODEL_RUN}/pretrainedModelPackage/pretrainedModelPackage_{MODEL_RUN.replace('/', '_')}.zip",
        MODEL,
        ids=[MODEL_ID],
    )
    main.add(
        "fgcmLookUpTable",
        "Catalog",
        ("instrument",),
        FGCM_RUN,
        [{"instrument": INSTRUMENT}],
        lambda _: f"{FGCM_RUN}/fgcmLookUpTable/fgcmLookUpTable_LSSTComCam_LSSTComCam_calib_fgcmcal_DM-48089.fits",
        GENERIC,
        ids=[FGCM_ID],
    )
    make_ephemerides(main)


if __name__ == "__main__":
    make(World(Path(sys.argv[1])))
