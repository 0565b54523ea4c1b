"""A sky map of a few square tracts: what a registry keeps of one is its name, its hash and the regions."""

from __future__ import annotations

import hashlib
from typing import Any

from lsst.daf.butler import Butler, CollectionType, DatasetType
from lsst.sphgeom import ConvexPolygon, LonLat, UnitVector3d


def square(lon: float, lat: float, half: float) -> ConvexPolygon:
    """Make a square region on the sky.

    Parameters
    ----------
    lon, lat : `float`
        Centre, in degrees.
    half : `float`
        Half of the side, in degrees.

    Returns
    -------
    region : `lsst.sphgeom.ConvexPolygon`
        The square.
    """
    corners = ((-half, -half), (half, -half), (half, half), (-half, half))
    return ConvexPolygon([UnitVector3d(LonLat.fromDegrees(lon + x, lat + y)) for x, y in corners])


class BaseSkyMap:
    """A named map of ``tracts`` tracts of ``patches`` × ``patches`` patches."""

    SKYMAP_RUN_COLLECTION_NAME = "skymaps"
    SKYMAP_DATASET_TYPE_NAME = "skyMap"

    def __init__(self, tracts: int, patches: int) -> None:
        self.tracts = tracts
        self.patches = patches

    def getSha1(self) -> bytes:
        return hashlib.sha1(f"{self.tracts} {self.patches}".encode(), usedforsecurity=False).digest()

    def register(self, name: str, butler: Butler) -> None:
        """Write the records of the map, and the map itself, which is written only if the records are new.

        Raises
        ------
        lsst.daf.butler.registry.ConflictingDefinitionError
            If another map has the name, or the map another name.
        """
        records: dict[str, list[dict[str, Any]]] = {"tract": [], "patch": []}
        for tract in range(self.tracts):
            lon, lat = 50.0 + 2 * tract, -28.0
            records["tract"].append({"skymap": name, "id": tract, "region": square(lon, lat, 1.0)})
            for patch in range(self.patches**2):
                x, y = patch % self.patches, patch // self.patches
                side = 2.0 / self.patches
                region = square(lon - 1 + (x + 0.5) * side, lat - 1 + (y + 0.5) * side, side / 2)
                records["patch"].append({"skymap": name, "tract": tract, "id": patch, "cell_x": x, "cell_y": y, "region": region})
        dataset_type = DatasetType(
            self.SKYMAP_DATASET_TYPE_NAME, dimensions=["skymap"], storageClass="SkyMap", universe=butler.dimensions
        )
        butler.registry.registerDatasetType(dataset_type)
        butler.collections.register(self.SKYMAP_RUN_COLLECTION_NAME, CollectionType.RUN)
        with butler.transaction():
            new = butler.registry.syncDimensionData(
                "skymap",
                {
                    "name": name,
                    "hash": self.getSha1(),
                    "tract_max": self.tracts,
                    "patch_nx_max": self.patches,
                    "patch_ny_max": self.patches,
                },
            )
            if new:
                butler.registry.insertDimensionData("tract", *records["tract"])
                butler.registry.insertDimensionData("patch", *records["patch"])
                butler.put(self, dataset_type, {"skymap": name}, run=self.SKYMAP_RUN_COLLECTION_NAME)
