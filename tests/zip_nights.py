"""Nights of zips in a Rucio scope of a test: registered, delivered, and broken in the ways that happen."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from conftest import Bench
from filelock import FileLock

from reconciler.playground.embargo import write_zips
from reconciler.playground.lsstcam import make_night
from reconciler.playground.lsstcam_exposures import Exposure
from reconciler.playground.mover import adler32
from reconciler.playground.world import IN2P3, SLAC, World

RUN, GUIDERS = "LSSTCam/raw/all", "LSSTCam/raw/guider"
FIRST, SECOND = 20260227, 20260228
N_DETECTORS = 3
MADE = "made"
"""Folder of the zips that tests copy."""


@dataclass
class ZipNights:
    """Two nights of three exposures with three detectors each, and a state for them."""

    bench: Bench
    world: World
    client: Any
    scope: str
    exposures: list[Exposure] = field(default_factory=list)

    @classmethod
    def of_two_nights(cls, bench: Bench, world: World, client: Any, scope: str) -> ZipNights:
        """Take and deliver two nights, which are not ingested yet."""
        bench.environment |= world.environment()
        found = cls(bench, world, client, scope)
        found.take(FIRST, [1, 2, 3])
        found.take(SECOND, [1, 2, 3])
        return found

    def take(self, night: int, sequences: Iterable[int], *, deliver: bool = True) -> list[Exposure]:
        """Take exposures, and deliver them unless they are to be late."""
        sequences = list(sequences)
        self._copy_made(Exposure(night, sequence, N_DETECTORS) for sequence in sequences)
        taken = make_night(self.world, night, sequences, n_detectors=N_DETECTORS, scope=self.scope, replicate=False)
        self.exposures += taken
        if deliver:
            self.deliver(taken)
        return taken

    def _copy_made(self, exposures: Iterable[Exposure]) -> None:
        """Copy zips and their records to the scope; they are made once for all tests."""
        wanted = list(exposures)
        storage = self.world.storage(SLAC)
        with FileLock(storage / "made.lock"):
            write_zips(self.world, wanted, MADE)
        for name in (name for one in wanted for name in (one.zip_path, one.dimensions_path)):
            target = storage / self.scope / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(storage / MADE / name, target)

    def deliver(self, exposures: Iterable[Exposure], *, records: bool = True) -> None:
        """Copy zips and their records to the site, as Rucio's transfers do."""
        names = [name for one in exposures for name in (one.zip_path, one.dimensions_path) if records or name == one.zip_path]
        files = []
        for name in names:
            source, target = (self.world.storage(rse) / self.scope / name for rse in (SLAC, IN2P3))
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
            files.append({"scope": self.scope, "name": name, "bytes": source.stat().st_size, "adler32": adler32(source)})
        self.client.add_replicas(IN2P3, files)

    def place(self, exposure: Exposure) -> Path:
        """Return where the zip of an exposure is at the site."""
        return self.world.storage(IN2P3) / self.scope / exposure.zip_path

    def state(self, nights: str = f"{FIRST}..{SECOND}", more: str = "") -> Path:
        """Write the state."""
        return self.bench.state(
            '[instrument.LSSTCam]\nclass = "lsst.obs.lsst.LsstCam"\n'
            f'[raw_zip."{RUN}"]\ninstrument = "LSSTCam"\nnights = "{nights}"\nguiders = "{GUIDERS}"\n'
            f'delivered_by = ["{self.scope}:Dataset/LSSTCam/raw/Tract*/*", "{self.scope}:Dataset/LSSTCam/raw/NoTract/*"]\n'
            f'locations = ["{self.world.storage(IN2P3) / self.scope / "LSSTCam"}"]\n{more}',
            rucio=True,
        )

    def refs(self, exposure: Exposure, dataset_type: str = "raw", run: str = RUN) -> list[Any]:
        """Return the datasets of an exposure."""
        found: list[Any] = self.bench.butler.query_datasets(
            dataset_type, run, instrument="LSSTCam", exposure=exposure.id, explain=False
        )
        return found

    def remove(self, refs: Iterable[Any]) -> None:
        """Remove datasets, and leave their zips where they are."""
        self.bench.butler.pruneDatasets(list(refs), disassociate=True, unstore=True, purge=True)

    def detach(self, exposure: Exposure, name: str) -> None:
        """Remove a file of an exposure from all its datasets."""
        for dataset in exposure.sky_datasets:
            self.client.detach_dids(self.scope, dataset, [{"scope": self.scope, "name": name}])


def truncate(path: Path) -> None:
    """Cut the end off a file."""
    path.write_bytes(path.read_bytes()[:-40])


def without_index(path: Path) -> None:
    """Make a zip one that no Butler wrote."""
    with zipfile.ZipFile(path, "w") as opened:
        opened.writestr("a.fits", b"pixels")
