"""Input files that several tests use."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from reconciler.playground import campaign
from reconciler.playground.world import IN2P3, SLAC, Sizes, World


def make_export(root: Path) -> Path:
    """Make a folder with an export file of a RUN, a CALIBRATION, a TAGGED and a CHAINED collection, and return the folder."""
    from astropy.time import Time
    from lsst.daf.butler import Butler, CollectionType, DatasetRef, DatasetType, FileDataset, Timespan
    from lsst.pipe.base import Instrument

    Butler.makeRepo(str(root / "repo"))
    butler = Butler.from_config(str(root / "repo"), writeable=True)
    Instrument.from_string("lsst.obs.lsst.LsstComCam").register(butler.registry)
    bias = DatasetType("bias", ["instrument", "detector"], "ExposureF", isCalibration=True, universe=butler.dimensions)
    butler.registry.registerDatasetType(bias)
    butler.collections.register("run")
    refs = []
    for detector in range(6):
        path = root / "files" / f"bias_{detector}.fits"
        path.parent.mkdir(exist_ok=True)
        path.write_text("bias")
        data_id = butler.registry.expandDataId(instrument="LSSTComCam", detector=detector)
        ref = DatasetRef(bias, data_id, run="run", id=uuid.uuid5(uuid.NAMESPACE_URL, f"bias{detector}"))
        formatter = "lsst.obs.base.formatters.fitsExposure.FitsExposureFormatter"
        butler.ingest(FileDataset(path=str(path), refs=[ref], formatter=formatter), transfer="direct")
        refs.append(ref)
    butler.collections.register("calib", CollectionType.CALIBRATION)
    butler.registry.certify("calib", refs[:3], Timespan(Time("2024-01-01", scale="tai"), None))
    butler.registry.certify("calib", refs[3:], Timespan(None, Time("2025-01-01", scale="tai")))
    butler.collections.register("tags", CollectionType.TAGGED)
    butler.registry.associate("tags", refs[:2])
    butler.collections.register("chain", CollectionType.CHAINED)
    butler.collections.redefine_chain("chain", ["calib", "tags"])

    def relative(dataset: Any) -> Any:
        dataset.path = Path(str(dataset.path).removeprefix("file://")).name
        return dataset

    with butler.export(filename=str(root / "export.yaml"), transfer=None) as export:
        export.saveDatasets(refs, rewrite=relative)
        for collection in ("calib", "tags", "chain"):
            export.saveCollection(collection)
    return root


def register_nights(world: World, client: Any, scope: str, sizes: Sizes) -> Path:
    """Register one closed Rucio dataset of raws for each night, available at both sites, and return the folder of the raws."""
    folder = world.storage(IN2P3) / scope / "LSSTComCam"
    nights: dict[int, list[campaign.Exposure]] = {}
    for exposure in campaign.list_exposures(sizes):
        nights.setdefault(exposure.night, []).append(exposure)
    for night, exposures in nights.items():
        register_exposures(world, client, scope, f"Dataset/{night}", exposures)
        client.close(scope, f"Dataset/{night}")
    return folder


def register_exposures(
    world: World, client: Any, scope: str, dataset: str, exposures: Iterable[campaign.Exposure], *, create: bool = True
) -> list[Path]:
    """Add the raws of exposures to a Rucio dataset, available at both sites, and return their paths."""
    folder = world.storage(IN2P3) / scope / "LSSTComCam"
    paths = [path for exposure in exposures for path in campaign.write_exposure(folder, exposure)]
    files = [
        {"scope": scope, "name": str(path.relative_to(folder.parent)), "bytes": path.stat().st_size, "adler32": "00000001"}
        for path in paths
    ]
    if create:
        client.add_dataset(scope, dataset)
    for rse in (SLAC, IN2P3):
        client.add_replicas(rse, files)
    client.add_files_to_dataset(scope, dataset, files)
    return paths
