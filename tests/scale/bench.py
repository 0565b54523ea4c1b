"""Time of diff and apply as ratios to the same work by hand, and memory of diff, measured in one run on one machine.

``python tests/scale/bench.py DIR`` builds worlds below DIR, which takes about ten minutes the first time, and writes a table
and JSON.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from build import ROOT, SCOPE, build, further, reconcile
from campaign import FURTHER
from loads import Loads
from measure import Usage, measure, measure_medians
from zips import Zips

from reconciler.playground.site import repository_uri
from reconciler.playground.up import down, up
from reconciler.playground.world import OBSERVATORY, Sizes, World

sys.path.insert(0, str(OBSERVATORY))

PYTHON = sys.executable
ZIPS = 1_000
TIMEOUT = 20
"""Seconds after which the watch stops the check of a state that hangs."""
FLOOR = """\
import sys
from lsst.daf.butler import Butler
Butler.from_config(sys.argv[1]).collections.query_info("*", include_chains=True)
"""
LOOP = """\
import sys
from rucio.client import Client
client = Client()
for number in range(1, int(sys.argv[2]) + 1):
    client.get_did(sys.argv[1], f"d{number}")
    list(client.list_did_rules(sys.argv[1], f"d{number}"))
"""


@dataclass(frozen=True)
class Row:
    """One row of the table.

    Parameters
    ----------
    database, what, target : `str`
        Name of the database, description of the measurement, and value to reach.
    ratio : `float`
        Measured ratio, or memory in megabytes.
    figures : `str`
        Times that the ratio was calculated from.
    """

    database: str
    what: str
    ratio: float
    target: str
    figures: str


class Bench:
    """The measurements on one database.

    Parameters
    ----------
    place : `pathlib.Path`
        Folder in which worlds are built.
    times : `int`
        Number of runs of each command.
    postgres : `bool`
        Whether registries are on PostgreSQL rather than SQLite.
    """

    def __init__(self, place: Path, times: int, *, postgres: bool) -> None:
        self.place, self.times, self.postgres = place, times, postgres
        self.name = "PostgreSQL" if postgres else "SQLite"
        self.rows: list[Row] = []

    def world(self, factor: int) -> World:
        return build(World(self.place / f"{self.name.lower()}-{factor}"), factor, like_production=self.postgres)

    def row(self, what: str, ratio: float, target: str, figures: str) -> None:
        self.rows.append(Row(self.name, what, round(ratio, 3), target, figures))
        print(f"{self.name:<12}{what:<58}{ratio:8.2f}   {target:<8}{figures}", flush=True)

    def diff(self, world: World, state: str = "state/ccms1.toml", *, code: int = 0) -> Callable[[], Usage]:
        command = [PYTHON, "-m", "reconciler", "diff", state, "--var-file", str(world.site)]
        return lambda: measure(command, world.environment(), world.root, (code,))

    def butler(self, world: World, *words: str) -> Callable[[], Usage]:
        return lambda: measure([str(Path(PYTHON).with_name("butler")), *words], world.environment(), world.root)

    def python(self, world: World, code: str, *words: str) -> Callable[[], Usage]:
        return lambda: measure([PYTHON, "-c", code, *words], world.environment(), world.root)

    def measure_reads(self) -> None:
        """Measure diffs and the watch: rows (a) to (d) and (g) to (j)."""
        world = self.world(1)
        repo = repository_uri(world)
        raws = ["query-datasets", repo, "raw", "--collections", "LSSTComCam/raw/all", "--limit", "0"]
        runs = {
            "diff": self.diff(world),
            "all": self.butler(world, *raws),
            "science": self.butler(world, *raws, "--where", "exposure.observation_type='science'"),
            "tree": self.butler(world, "query-collections", "--chains=tree", repo, "LSSTComCam/DP1/defaults"),
            "floor": self.python(world, FLOOR, repo),
        }
        usage = measure_medians(self.times, runs)
        by_hand = sum(usage[name].seconds for name in ("all", "science", "tree"))
        diff = usage["diff"].seconds
        self.row("(a) no-drift diff ÷ three commands by hand", diff / by_hand, "≤ 0.20", f"{diff:.2f} s ÷ {by_hand:.2f} s")
        floor = usage["floor"].seconds
        self.row("(b) no-drift diff ÷ import, open, one query", diff / floor, "≤ 1.8", f"{diff:.2f} s ÷ {floor:.2f} s")
        self.row("(h) peak memory of diff, MB", usage["diff"].memory, "≤ 400", "×1")
        self._drift(world)
        self._rucio(world)
        self._ten(world)
        self.measure_proofs()
        self._watch(world)

    def measure_raws_alone(self, times: int, raws: int) -> None:
        """Measure the ingest of raws alone, which needs a small world only."""
        world = World(self.place / f"{self.name.lower()}-small")
        up(world, Sizes(1, 1, 1), mover=False, say=lambda text: None)
        try:
            self.measure_raws(self._loads(world), times, raws)
        finally:
            down(world)

    def measure_zips(self, times: int) -> None:
        """Measure the ingest of zips of exposures, and a diff of those of three hundred nights: rows (k) and (l)."""
        world = World(self.place / f"{self.name.lower()}-small")
        up(world, Sizes(1, 1, 1), mover=False, say=lambda text: None)
        try:
            zips = Zips(world, self.place / f"{self.name.lower()}-zips", postgres=self.postgres)
            runs = zips.ingest(ZIPS)
            if not self.postgres:
                del runs["two"]  # SQLite has one writer
            found = {name: usage.seconds for name, usage in measure_medians(times, runs).items()}
            what = f"(k) ingest of {ZIPS:,} zips ÷ loop of import_ and ingest_zip"
            self.row(what, found["one"] / found["loop"], "≤ 1.2", f"{found['one']:.1f} s ÷ {found['loop']:.1f} s")
            if "two" in found:
                figures = f"{found['two']:.1f} s ÷ {found['loop']:.1f} s"
                self.row("(k) the same with --jobs 2", found["two"] / found["loop"], "≤ 0.8", figures)
            found = {name: usage.seconds for name, usage in measure_medians(times, zips.compare(ZIPS)).items()}
            figures = f"{found['diff']:.2f} s ÷ {found['floor']:.2f} s"
            what = f"(l) no-drift diff of 300 nights, {ZIPS:,} zips ÷ import, open, one query"
            self.row(what, found["diff"] / found["floor"], "≤ 2", figures)
        finally:
            down(world)

    def _loads(self, world: World) -> Loads:
        return Loads(world, self.place / f"{self.name.lower()}-loads", postgres=self.postgres)

    def measure_watch(self) -> None:
        """Measure the watch alone."""
        self._watch(self.world(1))

    def measure_proofs(self) -> None:
        """Measure a diff with proofs, one without, and one by count only: row (j)."""
        world = self.world(1)
        state_home = world.root / "xdg-proofs"

        def diff(name: str, *words: str, keep: bool = True) -> Callable[[], Usage]:
            environment = {**world.environment(), "XDG_STATE_HOME": str(state_home / name)}
            command = [PYTHON, "-m", "reconciler", "diff", "state/ccms1.toml", "--var-file", str(world.site), *words]

            def run() -> Usage:
                if not keep:
                    shutil.rmtree(state_home / name, ignore_errors=True)
                return measure(command, environment, world.root)

            return run

        runs = {"proofs": diff("kept"), "quick": diff("kept", "--quick"), "listed": diff("removed", keep=False)}
        for run in runs.values():
            run()  # records the proofs, and compiles the modules
        usage = measure_medians(self.times, runs)
        proofs, quick, listed = (usage[name].seconds for name in ("proofs", "quick", "listed"))
        self.row("(j) no-drift diff with proofs ÷ --quick", proofs / quick, "≤ 1.1", f"{proofs:.2f} s ÷ {quick:.2f} s")
        self.row("(j) the first diff, without proofs ÷ --quick", listed / quick, "≤ 2", f"{listed:.2f} s ÷ {quick:.2f} s")
        self.row("(h) peak memory of the first diff, MB", usage["listed"].memory, "≤ 600", "×1")

    def _watch(self, world: World) -> None:
        """Measure a watch of twenty states, of which one hangs and one is unreachable: row (i)."""
        folder = world.root / "watch"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts connections, and never answers
            states = _write_states(folder, repository_uri(world), f"http://127.0.0.1:{silent.getsockname()[1]}")
            command = [PYTHON, "-m", "reconciler", "drift", "--jobs", "4", "--timeout", f"{TIMEOUT}s", "--history"]

            def drift(name: str, chosen: list[Path], code: int) -> Callable[[], Usage]:
                words = [*command, str(folder / f"{name}.sqlite"), *map(str, chosen)]
                return lambda: measure(words, world.environment(), world.root, (code,))

            usage = measure_medians(self.times, {"one": drift("one", states[:1], 2), "all": drift("all", states, 1)})
        one, everything = usage["one"].seconds, usage["all"].seconds
        limit = 3 * one + TIMEOUT
        what = "(i) drift of 20 states, 2 of them broken ÷ 3 × one + timeout"
        self.row(what, everything / limit, "≤ 1", f"{everything:.2f} s ÷ {limit:.2f} s")

    def _drift(self, world: World) -> None:
        """Measure a diff with ten missing raws, a chain and a rule: row (d)."""

        def drifted() -> Usage:
            _damage(world)
            usage = self.diff(world, code=2)()
            reconcile(world, "apply", "--yes", "--wait", "1m")
            return usage

        usage = measure_medians(self.times, {"drift": drifted, "calm": self.diff(world)})
        drift, calm = usage["drift"].seconds, usage["calm"].seconds
        self.row("(d) diff of small drift ÷ no drift", drift / calm, "≤ 1.3", f"{drift:.2f} s ÷ {calm:.2f} s")

    def _ten(self, world: World) -> None:
        """Measure a diff of ten campaigns: row (c)."""
        ten = self.world(10)
        usage = measure_medians(self.times, {"ten": self.diff(ten), "one": self.diff(world)})
        down(ten)
        figures = f"{usage['ten'].seconds:.2f} s ÷ {usage['one'].seconds:.2f} s"
        self.row("(c) diff of ten campaigns ÷ one", usage["ten"].seconds / usage["one"].seconds, "≤ 1.5", figures)
        self.row("(h) peak memory of diff of ten campaigns, MB", usage["ten"].memory, "≤ 600", "×10")

    def _rucio(self, world: World) -> None:
        """Measure a diff of two thousand Rucio datasets with rules: row (g)."""
        runs = {"diff": self.diff(world, str(further(world))), "loop": self.python(world, LOOP, SCOPE, str(FURTHER))}
        terraform = shutil.which("terraform")
        if terraform:
            runs["terraform"] = _terraform(terraform, world)
        usage = measure_medians(self.times, runs)
        diff, loop = usage["diff"].seconds, usage["loop"].seconds
        self.row("(g) diff of 2,000 Rucio datasets ÷ loop of get_did", diff / loop, "≤ 0.10", f"{diff:.2f} s ÷ {loop:.2f} s")
        if terraform:
            plan = usage["terraform"].seconds
            self.row("(g) the same ÷ terraform plan of 2,000", diff / plan, "≤ 0.6", f"{diff:.2f} s ÷ {plan:.2f} s")

    def measure_loads(self, times: int, raws: int) -> None:
        """Measure applies that import and ingest: rows (e) and (f)."""
        world = self.world(1)
        loads = self._loads(world)
        found = measure_medians(self.times, loads.imports())
        by_hand, first, second = (found[name].seconds for name in ("by hand", "first", "second"))
        self.row("(e) import of 10,000 ÷ butler import", first / by_hand, "≤ 0.45", f"{first:.2f} s ÷ {by_hand:.2f} s")
        self.row("(e) the second run ÷ the first", second / first, "≤ 0.5", f"{second:.2f} s ÷ {first:.2f} s")
        self.measure_raws(loads, times, raws)

    def measure_raws(self, loads: Loads, times: int, raws: int) -> None:
        """Measure applies that ingest raws, with one transaction for each exposure: row (f)."""
        runs = loads.raws(raws)
        if not self.postgres:
            del runs["two"]  # SQLite has one writer
        found = {name: usage.seconds for name, usage in measure_medians(times, runs).items()}
        what = f"(f) ingest of {raws:,} raws ÷ loop of butler ingest-raws"
        self.row(what, found["one"] / found["loop"], "≤ 1.1", f"{found['one']:.1f} s ÷ {found['loop']:.1f} s")
        if "two" in found:
            figures = f"{found['two']:.1f} s ÷ {found['loop']:.1f} s"
            self.row("(f) the same with --jobs 2", found["two"] / found["loop"], "≤ 0.7", figures)


def _write_states(folder: Path, repository: str, silent: str) -> list[Path]:
    """Write eighteen states of a repository, one of a Rucio server that doesn't answer, and one of a server that is down."""
    head = "[reconcile]\nversion = 1\n"
    texts = [
        f'{head}[repository]\nuri = "{repository}"\n[chain."bench/c{number}"]\nchildren = ["LSSTComCam/calib"]\n'
        for number in range(18)
    ]
    for name, url in (("silent", silent), ("down", "http://127.0.0.1:9")):
        (folder / f"{name}.cfg").write_text(
            f"[client]\nrucio_host = {url}\nauth_host = {url}\naccount = root\nauth_type = userpass\n"
            f"username = bench\npassword = bench\nauth_token_file_path = {folder}/{name}.token\n"
        )
        texts.append(f'{head}[rucio]\nconfig = "{name}.cfg"\ntimeout = 300\n[rucio_dataset."{SCOPE}:d1"]\n')
    states = [folder / f"s{number:02}.toml" for number in range(len(texts))]
    for state, text in zip(states, texts, strict=True):
        state.write_text(text)
    return states


def _damage(world: World) -> None:
    """Remove ten raws of the first night, a child of a chain, and a rule."""
    from lsst.daf.butler import Butler
    from rows import Postgres, closing

    os.environ.update(world.environment())
    butler = Butler.from_config(repository_uri(world), writeable=True)
    where = "instrument = 'LSSTComCam' AND exposure IN (2024110800001, 2024110800002) AND detector < 5"
    refs = butler.query_datasets("raw", "LSSTComCam/raw/all", where=where)
    butler.pruneDatasets(refs, disassociate=True, unstore=True, purge=True)
    butler.collections.remove_from_chain("LSSTComCam/calib", "LSSTComCam/calib/DM-48650")
    with closing(Postgres(str(world.read_record()["postgres"]), "rucio", "dev")) as database:
        for table in ("locks", "dataset_locks", "rules"):
            column = "id" if table == "rules" else "rule_id"
            rule = "select id from {schema}.rules where name = 'Dataset/LSSTComCam/dstyps/DM-47365'"
            database.run(f"delete from {{schema}}.{table} where {column} in ({rule})")


def _terraform(terraform: str, world: World) -> Callable[[], Usage]:
    folder = world.root / "terraform"
    folder.mkdir(exist_ok=True)
    if not (folder / "terraform.tfstate").exists():
        text = "".join(f'resource "terraform_data" "d{n}" {{\n  input = "{n}"\n}}\n' for n in range(FURTHER))
        (folder / "main.tf").write_text(text)
        for words in (["init"], ["apply", "-auto-approve"]):
            subprocess.run([terraform, *words], cwd=folder, check=True, capture_output=True)
    return lambda: measure([terraform, f"-chdir={folder}", "plan"], {}, folder)


def table(rows: list[Row], cores: int | None) -> Iterator[str]:
    """Yield the lines of the Markdown table in the README."""
    yield f"Measured on {datetime.date.today():%Y-%m-%d}, {cores} cores."
    yield ""
    yield "| what | target | SQLite | PostgreSQL |"
    yield "|---|---|---|---|"
    for what in dict.fromkeys(row.what for row in rows):
        cells = []
        for name in ("SQLite", "PostgreSQL"):
            found = next((row for row in rows if row.what == what and row.database == name), None)
            cells.append(
                "" if found is None else f"{found.ratio:.0f}" if "MB" in what else f"{found.ratio:.2f} ({found.figures})"
            )
        target = next(row.target for row in rows if row.what == what)
        yield f"| {what} | {target} | {cells[0]} | {cells[1]} |"


def main() -> None:
    """Run the measurements that the options select, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--times", type=int, default=5, help="runs of each command")
    parser.add_argument("--times-raws", type=int, default=5, help="runs of the ingest of raws")
    parser.add_argument("--raws", type=int, default=9_000, help="number of those raws")
    parser.add_argument("--only", choices=["reads", "loads", "raws", "zips", "proofs", "watch"])
    parser.add_argument("--database", choices=["sqlite", "postgresql"])
    asked = parser.parse_args()
    place = asked.folder.resolve()
    place.mkdir(parents=True, exist_ok=True)
    place.chmod(0o755)
    os.chdir(ROOT)
    rows: list[Row] = []
    for postgres in (False, True):
        if asked.database not in (None, "postgresql" if postgres else "sqlite"):
            continue
        bench = Bench(place, asked.times, postgres=postgres)
        try:
            if asked.only in (None, "reads"):
                bench.measure_reads()
            if asked.only in (None, "loads"):
                bench.measure_loads(asked.times_raws, asked.raws)
            if asked.only == "raws":
                bench.measure_raws_alone(asked.times_raws, asked.raws)
            if asked.only in (None, "zips"):
                bench.measure_zips(asked.times)
            if asked.only == "proofs":
                bench.measure_proofs()
            if asked.only == "watch":
                bench.measure_watch()
        finally:
            rows += bench.rows
            world = World(place / f"{bench.name.lower()}-1")
            if world.root.exists():
                down(world)
    found: dict[str, Any] = {"date": f"{datetime.date.today()}", "cores": os.cpu_count(), "rows": [asdict(row) for row in rows]}
    (place / "bench.json").write_text(json.dumps(found, indent=2) + "\n")
    text = "\n".join(table(rows, os.cpu_count()))
    (place / "bench.md").write_text(text + "\n")
    print(f"\n{text}")


if __name__ == "__main__":
    main()
