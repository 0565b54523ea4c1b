"""Benchmarks of zips: ingesting a thousand, and comparing three hundred nights of them that have not changed."""

from __future__ import annotations

import shutil
import sys
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path

from build import age
from measure import Usage, measure
from rows import Postgres, Sqlite, closing

from reconciler.playground import catalog
from reconciler.playground.lsstcam import make_night
from reconciler.playground.lsstcam_exposures import Exposure
from reconciler.playground.mover import adler32
from reconciler.playground.world import IN2P3, SLAC, World

NIGHTS = [20250101 + 100 * month + day for month in range(12) for day in range(25)]
"""Three hundred nights."""
DETECTORS = 9
FLOOR = """\
import sys
from lsst.daf.butler import Butler
Butler.from_config(sys.argv[1]).collections.query_info("*", include_chains=True)
"""


class Zips:
    """Zips in the Rucio server of a world, and repositories that they are ingested into.

    Parameters
    ----------
    world : `World`
        Playground that has PostgreSQL and Rucio.
    folder : `pathlib.Path`
        Working folder.
    postgres : `bool`
        Whether registries are on PostgreSQL rather than SQLite.
    """

    def __init__(self, world: World, folder: Path, *, postgres: bool) -> None:
        self.world, self.folder, self.postgres = world, folder, postgres
        self.namespace = ""
        folder.mkdir(exist_ok=True)
        self.environment = {**world.environment(), "XDG_STATE_HOME": str(folder / "xdg")}

    def ingest(self, count: int) -> dict[str, Callable[[], Usage]]:
        """Return runs that ingest so many zips: a loop by hand, and applies with one process and with two."""
        scope = f"zips{count}"
        zips = self._register(scope, [(20260101, range(1, count + 1))])
        state = self._write_state("ingest", scope, "20260101")

        def loop() -> Usage:
            repo = self._fresh()
            return self._run(str(Path(__file__).with_name("zip_loop.py")), str(repo), str(zips))

        def apply(jobs: int) -> Usage:
            self._fresh()
            return self._run("-m", "reconciler", "apply", str(state), "--yes", "--jobs", str(jobs))

        return {"loop": loop, "one": lambda: apply(1), "two": lambda: apply(2)}

    def compare(self, count: int) -> dict[str, Callable[[], Usage]]:
        """Return a diff of so many zips in three hundred nights, all in sync and proven, and the least that any diff must do."""
        scope = f"nights{count}"
        each, more = divmod(count, len(NIGHTS))
        self._register(scope, [(night, range(1, each + 1 + (number < more))) for number, night in enumerate(NIGHTS)])
        state = self._write_state("compare", scope, f"{NIGHTS[0]}..{NIGHTS[-1]}")
        repo = self._fresh()
        self._run("-m", "reconciler", "apply", str(state), "--yes")
        self._age(repo)
        diff = ["-m", "reconciler", "diff", str(state)]
        self._run(*diff)  # records the proof
        return {"diff": lambda: self._run(*diff), "floor": lambda: self._run("-c", FLOOR, str(repo))}

    def _register(self, scope: str, nights: Iterable[tuple[int, Iterable[int]]]) -> Path:
        """Make the zips of nights, available at both sites, in a scope of their own, and return their folder."""
        folder = self.world.storage(SLAC) / scope / "LSSTCam"
        if folder.exists():
            return folder
        client = catalog.connect(self.world)
        client.add_scope("root", scope)
        made = [
            exposure
            for night, sequences in nights
            for exposure in make_night(self.world, night, sequences, n_detectors=DETECTORS, scope=scope, replicate=False)
        ]
        files = [self._describe(scope, exposure, name) for exposure in made for name in _names(exposure)]
        for start in range(0, len(files), catalog.CHUNK):
            client.add_replicas(IN2P3, files[start : start + catalog.CHUNK])
        return folder

    def _describe(self, scope: str, exposure: Exposure, name: str) -> dict[str, object]:
        path = self.world.storage(SLAC) / scope / name
        return {"scope": scope, "name": name, "bytes": path.stat().st_size, "adler32": adler32(path)}

    def _write_state(self, name: str, scope: str, nights: str) -> Path:
        state = self.folder / f"{name}.toml"
        state.write_text(
            f'[reconcile]\nversion = 1\n[repository]\nuri = "{self.folder}/repo"\n[rucio]\nrse = "{IN2P3}"\n'
            '[instrument.LSSTCam]\nclass = "lsst.obs.lsst.LsstCam"\n'
            f'[raw_zip."LSSTCam/raw/all"]\ninstrument = "LSSTCam"\nnights = "{nights}"\nguiders = "LSSTCam/raw/guider"\n'
            f'delivered_by = ["{scope}:Dataset/LSSTCam/raw/Tract*/*", "{scope}:Dataset/LSSTCam/raw/NoTract/*"]\n'
            f'locations = ["{self.world.storage(SLAC) / scope / "LSSTCam"}"]\n'
        )
        return state

    def _fresh(self) -> Path:
        """Make an empty repository with the instrument."""
        from lsst.daf.butler import Butler, Config
        from lsst.pipe.base import Instrument

        repo = self.folder / "repo"
        shutil.rmtree(repo, ignore_errors=True)
        config = Config()
        if self.postgres:
            config["registry", "db"] = f"postgresql://postgres@/lsstprod?host={self.world.read_record()['postgres']}"
            self.namespace = f"zips{uuid.uuid4().hex[:12]}"
            config["registry", "namespace"] = self.namespace
        Butler.makeRepo(str(repo), config=config if self.postgres else None)
        butler = Butler.from_config(str(repo), writeable=True)
        Instrument.from_string("lsst.obs.lsst.LsstCam").register(butler.registry)
        return repo

    def _age(self, repo: Path) -> None:
        """Let the datasets be some days old, as most are in a repository that isn't new."""
        socket = str(self.world.read_record()["postgres"])
        database = Postgres(socket, "lsstprod", self.namespace) if self.postgres else Sqlite(str(repo / "gen3.sqlite3"))
        with closing(database) as opened:
            age(opened)

    def _run(self, *words: str) -> Usage:
        return measure([sys.executable, *words], self.environment, self.folder)


def _names(exposure: Exposure) -> tuple[str, str]:
    return exposure.zip_path, exposure.dimensions_path
