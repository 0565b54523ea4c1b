"""Reference for ingesting a campaign: insert exposure records, and call `Butler.ingest` in chunks of 10,000."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from lsst.daf.butler import Butler, DataCoordinate, DatasetIdGenEnum, DatasetRef, DatasetType, FileDataset
from standin.formatter import BytesFormatter
from standin.ingest import records

from reconciler.playground.campaign import Exposure, index_content

CHUNK = 10_000
RUN = "LSSTComCam/raw/all"


def main() -> None:
    """Ingest every raw below a folder into a repository; both are arguments."""
    butler = Butler.from_config(sys.argv[1], writeable=True)
    raw = DatasetType("raw", ["instrument", "exposure", "detector"], "Exposure", universe=butler.dimensions)
    butler.registry.registerDatasetType(raw)
    butler.collections.register(RUN)
    known: dict[int, dict[str, object]] = {}
    datasets = []
    for folder, _, names in os.walk(sys.argv[2]):
        for name in names:
            if not name.endswith(".fits"):
                continue
            _, _, night, sequence, _, sensor = name.removesuffix(".fits").split("_")
            exposure = Exposure(int(night), int(sequence))
            detector = int(sensor[1]) * 3 + int(sensor[2])
            known[exposure.id] = known.get(exposure.id) or _facts(exposure)
            data_id = DataCoordinate.standardize(
                instrument="LSSTComCam", exposure=exposure.id, detector=detector, dimensions=raw.dimensions
            )
            # The UUIDs that ingest-raws gives. The Butler checks whether datasets with such a UUID exist, which takes longer.
            ref = DatasetRef(raw, data_id, run=RUN, id_generation_mode=DatasetIdGenEnum.DATAID_TYPE_RUN)
            datasets.append(FileDataset(Path(folder, name).as_uri(), [ref], formatter=BytesFormatter))
    with butler.transaction():
        for element, rows in records(butler, known.values()).items():
            butler.registry.insertDimensionData(element, *rows)
    for start in range(0, len(datasets), CHUNK):
        butler.ingest(*datasets[start : start + CHUNK], transfer="direct")


def _facts(exposure: Exposure) -> dict[str, object]:
    common = index_content(exposure)["__COMMON__"]
    assert isinstance(common, dict)
    return common


if __name__ == "__main__":
    main()
