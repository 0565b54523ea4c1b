"""Write benchmarks: importing ten thousand datasets, and ingesting the raws of a campaign, each into a new repository."""

from __future__ import annotations

import shutil
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from campaign import BASE, exposures
from measure import Usage, measure

from reconciler.playground import campaign as small
from reconciler.playground.world import World

IMPORTED = 10_000
FIRST = 131_072


class Loads:
    """Input data of the write benchmarks, and the runs that write it to a repository.

    Parameters
    ----------
    world : `reconciler.playground.world.World`
        Playground that has PostgreSQL.
    folder : `pathlib.Path`
        Working folder.
    postgres : `bool`
        Whether registries are on PostgreSQL rather than SQLite.
    """

    def __init__(self, world: World, folder: Path, *, postgres: bool) -> None:
        self.world, self.folder, self.postgres = world, folder, postgres
        folder.mkdir(exist_ok=True)
        self.environment = {**world.environment(), "XDG_STATE_HOME": str(folder / "xdg"), "XDG_CACHE_HOME": str(folder / "cache")}

    def _fresh(self) -> Path:
        """Make an empty repository with the instrument."""
        from lsst.daf.butler import Butler, Config
        from lsst.pipe.base import Instrument

        repo = self.folder / "repo"
        shutil.rmtree(repo, ignore_errors=True)
        config = Config()
        if self.postgres:
            config["registry", "db"] = f"postgresql://postgres@/lsstprod?host={self.world.read_record()['postgres']}"
            config["registry", "namespace"] = f"load{uuid.uuid4().hex[:12]}"
        Butler.makeRepo(str(repo), config=config if self.postgres else None)
        butler = Butler.from_config(str(repo), writeable=True)
        Instrument.from_string("lsst.obs.lsst.LsstComCam").register(butler.registry)
        return repo

    def _run(self, *words: str) -> Usage:
        return measure([sys.executable, *words], self.environment, self.folder)

    def imports(self) -> dict[str, Callable[[], Usage]]:
        """Return three runs: ``butler import``, an apply into a new repository, and a second apply."""
        export = self._export()
        state = self.folder / "import.toml"
        repo = self.folder / "repo"
        state.write_text(
            f'[reconcile]\nversion = 1\n[repository]\nuri = "{repo}"\ncreate = true\n'
            f'[import.x]\nexport_file = "{export}"\nroot = "{self.folder}/files"\n'
        )
        butler = str(Path(sys.executable).with_name("butler"))

        def by_hand() -> Usage:
            fresh = self._fresh()
            words = ["import", str(fresh), str(self.folder / "files"), "--export-file", str(export), "--transfer", "direct"]
            return measure([butler, *words], self.environment, self.folder)

        def first() -> Usage:
            self._fresh()
            shutil.rmtree(self.folder / "cache", ignore_errors=True)
            return self._run("-m", "reconciler", "apply", str(state), "--yes")

        def second() -> Usage:
            return self._run("-m", "reconciler", "apply", str(state), "--yes")

        return {"by hand": by_hand, "first": first, "second": second}

    def _export(self) -> Path:
        path = self.folder / "export.yaml"
        if path.exists():
            return path
        from lsst.daf.butler import Butler, DatasetRef, DatasetType, FileDataset

        files = self.folder / "files"
        files.mkdir()
        repo = self.folder / "source"
        Butler.makeRepo(str(repo))
        butler = Butler.from_config(str(repo), writeable=True)
        stars = DatasetType("stars", ["htm7"], "ArrowAstropy", universe=butler.dimensions)
        butler.registry.registerDatasetType(stars)
        butler.collections.register("run")
        datasets = []
        for pixel in range(FIRST, FIRST + IMPORTED):
            (files / f"{pixel}.parquet").write_text("stars")
            ref = DatasetRef(stars, butler.registry.expandDataId(htm7=pixel), run="run")
            datasets.append(FileDataset(path=str(files / f"{pixel}.parquet"), refs=[ref]))
        butler.ingest(*datasets, transfer="direct")

        def relative(dataset: Any) -> Any:
            dataset.path = Path(str(dataset.path)).name
            return dataset

        with butler.export(filename=str(path), transfer=None) as export:
            export.saveDatasets([ref for dataset in datasets for ref in dataset.refs], rewrite=relative)
        return path

    def raws(self, count: int) -> dict[str, Callable[[], Usage]]:
        """Return runs that ingest so many raws: a loop of ``butler ingest-raws``, and applies with one process and with two."""
        folder = self.folder / f"raw-{count}" / "LSSTComCam"
        if not folder.exists():
            written = 0
            for exposure in exposures(1):
                if written >= count:
                    break
                made = small.Exposure(exposure.night, exposure.sequence + BASE)
                written += len(small.write_exposure(folder, made)) - 1
        state = self.folder / "raw.toml"
        state.write_text(
            f'[reconcile]\nversion = 1\n[repository]\nuri = "{self.folder}/repo"\ncreate = true\n'
            '[instrument.LSSTComCam]\nclass = "lsst.obs.lsst.LsstComCam"\n'
            f'[raw."LSSTComCam/raw/all"]\ninstrument = "LSSTComCam"\nlocations = ["{folder}"]\n'
            "data_id = '(?P<obs_id>CC_O_\\d{8}_\\d{6})_(?P<full_name>R\\d\\d_S\\d\\d)\\.fits'\n"
        )

        def loop() -> Usage:
            repo = self._fresh()
            return self._run(str(Path(__file__).with_name("ingest_loop.py")), str(repo), str(folder))

        def apply(jobs: int) -> Usage:
            self._fresh()
            return self._run("-m", "reconciler", "apply", str(state), "--yes", "--jobs", str(jobs))

        return {"loop": loop, "one": lambda: apply(1), "two": lambda: apply(2)}
