"""Kill `reconcile apply` with SIGKILL at random moments, apply again, and compare with an undisturbed run.

``python tests/kill.py 50`` repeats this 50 times on each database and prints how many results were equal; with ``--zips``, the
state ingests zips of exposures, and moments are those of the ingest. ``make kill`` runs both.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from inputs import make_export

from reconciler.playground import campaign
from reconciler.playground.world import IN2P3, OBSERVATORY, SLAC, Sizes, World

SIZES = Sizes(nights=1, exposures=5)
NIGHT = 20260227
ZIPS = 100
FIRST_MOMENT, FIRST_MOMENT_OF_ZIPS = 0.2, 0.4
"""Part of the duration of an undisturbed run before which no run is killed: before it, nothing is written."""


@dataclass
class Trial:
    """A repository, a Rucio scope and a state over both.

    Parameters
    ----------
    folder : `pathlib.Path`
        Working folder.
    inputs : `pathlib.Path`
        Folder with raws, an export file and a table.
    world : `reconciler.playground.world.World`
        Playground that has the Rucio server and PostgreSQL.
    client : `rucio.client.Client`
        Client with the root account.
    postgres : `bool`
        Whether the registry is on PostgreSQL rather than SQLite.
    zips : `bool`
        Whether the state ingests zips, and nothing else.
    """

    folder: Path
    inputs: Path
    world: World
    client: Any
    postgres: bool
    zips: bool = False

    def __post_init__(self) -> None:
        self.folder.mkdir()
        self.scope = f"k{uuid.uuid4().hex[:10]}"
        self.client.add_scope("root", self.scope)
        seed = "create = true\n"
        if self.postgres:
            (self.folder / "seed.yaml").write_text(
                f"registry:\n  db: postgresql://postgres@/lsstprod?host={self.world.read_record()['postgres']}\n"
                f"  namespace: {self.scope}\n"
            )
            seed = 'seed_config = "seed.yaml"\n'
        self.state = self.folder / "s.toml"
        head = f'[reconcile]\nversion = 1\n[repository]\nuri = "{self.folder}/repo"\n{seed}[rucio]\nrse = "IN2P3_RAW_DISK"\n'
        self.state.write_text(head + (self._describe_zips() if self.zips else self._describe_all()))
        self.environment = os.environ | {"XDG_STATE_HOME": str(self.folder / "xdg")}

    def _describe_zips(self) -> str:
        folder = self.world.storage(SLAC) / "raw" / "LSSTCam"
        return (
            '[instrument.LSSTCam]\nclass = "lsst.obs.lsst.LsstCam"\n[raw_zip."LSSTCam/raw/all"]\ninstrument = "LSSTCam"\n'
            f'nights = "{NIGHT}"\nguiders = "LSSTCam/raw/guider"\nlocations = ["{folder}"]\n'
            'delivered_by = ["raw:Dataset/LSSTCam/raw/*Tract*/*"]\n'
        )

    def _describe_all(self) -> str:
        return (
            f'[rucio_dataset."{self.scope}:d{{1..4}}"]\nopen = true\nrules = [{{ rse_expression = "IN2P3_RAW_DISK" }}]\n'
            '[instrument.LSSTComCam]\nclass = "lsst.obs.lsst.LsstComCam"\n'
            f'[raw."LSSTComCam/raw/all"]\ninstrument = "LSSTComCam"\nlocations = ["{self.inputs}/raw/LSSTComCam"]\n'
            "data_id = '(?P<obs_id>CC_O_\\d{8}_\\d{6})_(?P<full_name>R\\d\\d_S\\d\\d)\\.fits'\n"
            '[visits.LSSTComCam]\nraws = "LSSTComCam/raw/all"\n'
            f'[import.x]\nexport_file = "{self.inputs}/export.yaml"\nroot = "{self.inputs}/files"\n'
            '[dataset_type.cat]\nstorage_class = "SimpleCatalog"\ndimensions = ["htm7"]\n'
            f'[file_ingest.refcat]\ndataset_type = "cat"\ntable = "{self.inputs}/t.csv"\nprefix = "{self.inputs}/cat"\n'
            '[tagged.chosen]\ndataset_type = "raw"\nfrom = ["LSSTComCam/raw/all"]\n'
            "where = \"instrument = 'LSSTComCam' AND detector = 3\"\n"
            '[chain.top]\nchildren = ["chosen", "chain", "refcat", "LSSTComCam/raw/all"]\n'
        )

    def start(self, command: str = "apply") -> subprocess.Popen[str]:
        """Start the program in a new process."""
        return subprocess.Popen(
            [sys.executable, "-m", "reconciler", command, str(self.state), *(["--yes"] if command == "apply" else [])],
            env=self.environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def content(self) -> dict[str, Any]:
        """Return the content of the repository and the rules, without random UUIDs and creation times."""
        from lsst.daf.butler import Butler

        butler = Butler.from_config(str(self.folder / "repo"))
        infos = butler.collections.query_info("*", include_chains=True, include_summary=True)
        found: dict[str, Any] = {"collections": sorted((i.name, i.type.name, tuple(i.children or ())) for i in infos)}
        with butler.query() as query:
            for info in infos:
                for name in sorted(info.dataset_types if info.type.name != "CHAINED" else ()):
                    dimensions = butler.get_dataset_type(name).dimensions
                    rows = query.join_dataset_search(name, [info.name]).general(
                        dimensions, dataset_fields={name: {"run", "timespan"}}, find_first=False
                    )
                    found[f"{info.name} {name}"] = sorted(
                        str(([row[d] for d in dimensions.required], row[f"{name}.run"], row[f"{name}.timespan"])) for row in rows
                    )
            for element in ("instrument", "detector", "physical_filter", "exposure", "visit", "visit_detector_region"):
                found[element] = query.dimension_records(element).count()
        rules = [rule for n in range(1, 1 if self.zips else 5) for rule in self.client.list_did_rules(self.scope, f"d{n}")]
        found["rules"] = sorted((r["name"], r["rse_expression"], r["copies"], str(r["expires_at"])) for r in rules)
        return found


def make_inputs(folder: Path) -> Path:
    """Make the input files of the states, and return their folder."""
    for exposure in campaign.list_exposures(SIZES):
        campaign.write_exposure(folder / "raw" / "LSSTComCam", exposure)
    make_export(folder)
    (folder / "cat").mkdir()
    for pixel in range(131072, 131082):
        (folder / "cat" / f"{pixel}.fits").write_text("stars")
    rows = "".join(f"{pixel}.fits,{pixel}\n" for pixel in range(131072, 131082))
    (folder / "t.csv").write_text("file,htm7\n" + rows)
    return folder


def add_zips(world: World) -> None:
    """Register a night of zips, which are here already."""
    from reconciler.playground import catalog
    from reconciler.playground.lsstcam import make_night
    from reconciler.playground.mover import adler32

    made = make_night(world, NIGHT, range(1, ZIPS + 1), n_detectors=3, replicate=False)
    files = []
    for name in (name for exposure in made for name in (exposure.zip_path, exposure.dimensions_path)):
        path = world.storage(SLAC) / "raw" / name
        files.append({"scope": "raw", "name": name, "bytes": path.stat().st_size, "adler32": adler32(path)})
    catalog.connect(world).add_replicas(IN2P3, files)


def kill_and_compare(
    place: Path,
    world: World,
    client: Any,
    *,
    postgres: bool,
    times: int,
    seed: int,
    say: Callable[[str], None],
    zips: bool = False,
) -> int:
    """Kill applies at random moments, and compare the results of the applies after them with that of an undisturbed one.

    Returns
    -------
    equal : `int`
        Number of trials whose result was equal and in sync.
    """
    moments = random.Random(seed)
    inputs = place / "inputs"
    name = "postgresql" if postgres else "sqlite"
    undisturbed = Trial(place / f"{name}-undisturbed", inputs, world, client, postgres, zips)
    begun = time.monotonic()
    process = undisturbed.start()
    output, _ = process.communicate()
    duration = time.monotonic() - begun
    if process.returncode:
        raise RuntimeError(output)
    expected = undisturbed.content()
    equal, first = 0, FIRST_MOMENT_OF_ZIPS if zips else FIRST_MOMENT
    for number in range(times):
        trial = Trial(place / f"{name}-{number}", inputs, world, client, postgres, zips)
        process = trial.start()
        moment = moments.uniform(first, 1.0) * duration
        time.sleep(moment)
        process.kill()
        process.communicate()
        again = trial.start()
        output, _ = again.communicate()
        same = again.returncode == 0 and trial.content() == expected
        quiet = trial.start("diff")
        quiet.communicate()
        equal += same and quiet.returncode == 0
        if not same or quiet.returncode:
            say(f"{name} {number}: killed after {moment:.2f} s: exit code {again.returncode}\n{output}")
        shutil.rmtree(trial.folder)
    say(f"{name}: {equal} of {times} equal (killed between {first * duration:.1f} and {duration:.1f} s)")
    return equal


def main() -> int:
    """Start a small playground, and run the trials on both databases."""
    from reconciler.playground import catalog
    from reconciler.playground.up import down, up

    zips = "--zips" in sys.argv
    times = int(next(iter(set(sys.argv[1:]) - {"--zips"}), 50))
    place = Path(tempfile.mkdtemp(prefix="kill-"))
    place.chmod(0o755)
    world = World(place / "w")
    sys.path.insert(0, str(OBSERVATORY))  # before anything below lsst is imported
    up(world, Sizes(1, 1, 1), mover=False, say=lambda text: None)
    os.environ.update(world.environment())
    try:
        (place / "inputs").mkdir()
        make_inputs(place / "inputs")
        if zips:
            add_zips(world)

        def trials(postgres: bool) -> int:
            client = catalog.connect(world)
            return kill_and_compare(place, world, client, postgres=postgres, times=times, seed=times, say=print, zips=zips)

        with ThreadPoolExecutor(2) as both:  # one mostly waits while the other one works
            counts = list(both.map(trials, (False, True)))
    finally:
        down(world)
        shutil.rmtree(place, ignore_errors=True)
    return 0 if counts == [times, times] else 1


if __name__ == "__main__":
    sys.exit(main())
